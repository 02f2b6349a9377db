package steering

import (
	"net/netip"
	"time"

	"sluice/internal/config"
)

// CheckID names a health check. Backends that get their packets by address
// share one check for all services; in one-way modes the check follows the path of
// one service, because the VIP on the backend is part of what it proves.
type CheckID struct {
	Backend netip.AddrPort
	// Service is the listen address of the one service, zero for a shared check.
	Service netip.AddrPort
	// Proxy says that the backend is told of us by a PROXY v2 header, as of
	// clients: one that reads it may answer nothing without.
	Proxy bool
}

// Check is one health check as a [Checker] is to run it.
type Check struct {
	CheckID
	// Dial is where to connect: the backend, or a check address that stands
	// for this backend of this service.
	Dial netip.AddrPort
	// Local marks the check of this node itself: Dial is the service's address,
	// which ends here.
	Local bool
	// Settings are those of the first service that names the backend and has
	// checks; Type is never off.
	Settings config.HealthCheck
	// Up says that the backend serves already: it is to be taken as up until
	// Fall checks failed. Without it the first result alone decides, so that
	// a new backend need not wait for Rise of them.
	Up bool
}

// CheckResult is a verdict of a [Checker].
type CheckResult struct {
	CheckID
	Up bool
	// Reason says why a backend is down, in words for people.
	Reason string
}

// Checker runs health checks, with rise and fall applied.
type Checker interface {
	// SetChecks replaces the checks that are run. One whose CheckID stays goes
	// on with what it knows. It must not wait for Results to be read.
	SetChecks(checks []Check)
	// Results delivers the first verdict of each check and every change of
	// one. It is not closed.
	Results() <-chan CheckResult
}

// verdict is what is known about one check that runs.
type verdict struct {
	known  bool
	up     bool
	reason string
	since  time.Time
}
