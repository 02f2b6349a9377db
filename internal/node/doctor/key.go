package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sluice/internal/config"
)

// young is how old a cluster key is that may just have been made here.
const young = time.Hour

// checkClusterKey shows which key the gateway has: two that were started without
// it have each made their own.
func checkClusterKey(_ context.Context, e *examination) {
	const subject = "cluster key"
	var peers []config.Peer
	for _, c := range e.clusters() {
		if c.Heartbeat.Enabled() {
			peers = append(peers, c.Peers...)
		}
	}
	if len(peers) == 0 {
		return
	}
	fingerprint, written, err := e.machine.ClusterKey(e.settings.Node.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.warn(subject, "there is none in "+e.settings.Node.DataDir+": \"sluice run\" will make one that no other gateway has",
			"copy cluster.key from the other gateway before, with mode 0600")
	case errors.Is(err, fs.ErrPermission):
		e.warn(subject, err.Error(), "run doctor as root")
	case err != nil:
		e.fail(subject, err.Error(), "copy cluster.key from another gateway, with mode 0600")
	case e.heardAny():
		e.pass(subject, "%s, the same as of the gateways whose heartbeats are heard", fingerprint)
	case e.machine.Now().Sub(written) < young:
		e.warn(subject, fmt.Sprintf("%s, written less than an hour ago: perhaps it was made here", fingerprint),
			"compare it with \"sluice doctor\" on the other gateways; where it differs copy cluster.key of one to all and start them again")
	default:
		e.pass(subject, "%s: it must be the same on all gateways", fingerprint)
	}
}

// heardAny says whether heartbeats come, which the key proves.
func (e *examination) heardAny() bool {
	for _, c := range e.node.clusters {
		for _, p := range c.Peers {
			if p.Alive {
				return true
			}
		}
	}
	return false
}

// checkKeyFiles looks at the keys that adverts are signed with.
func checkKeyFiles(_ context.Context, e *examination) {
	for _, c := range e.clusters() {
		for _, k := range c.Auth.Keys {
			subject := fmt.Sprintf("key %d of %s", k.ID, c.Name)
			mode, err := e.machine.AdvertKey(k.File)
			switch {
			case errors.Is(err, fs.ErrPermission):
				e.warn(subject, err.Error(), "run doctor as root")
			case err != nil:
				e.fail(subject, fmt.Sprintf("%s: %v", k.File, err), "put the same key there as on the other gateways, with mode 0600")
			case mode.Perm()&0o077 != 0:
				e.fail(subject, fmt.Sprintf("%s has mode %04o: others may read it", k.File, mode.Perm()), "chmod 600 "+k.File+", and use another key if they may have read it")
			default:
				e.pass(subject, "%s is one", k.File)
			}
		}
	}
}

// signs names the first virtual cluster whose adverts have the time in their
// proof, and says whether others are refused.
func (e *examination) signs() (name string, enforced bool) {
	for _, c := range e.clusters() {
		switch {
		case c.Auth.Mode == config.AuthEnforce:
			return c.Name, true
		case c.Auth.Mode != config.AuthOff && c.Auth.Mode != "" && name == "":
			name = c.Name
		}
	}
	return name, false
}
