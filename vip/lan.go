package vip

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"sluice/internal/config"
	"sluice/vip/auth"
	"sluice/vip/election"
	"sluice/vip/segment"
	"sluice/vip/vrrp"
)

// lan is the cluster's part in VRRP at one place.
type lan struct {
	c         *cluster
	index     int
	at        place
	addresses []netip.Addr
	local     netip.Addr // what another gateway's IPv6 list begins with
	peers     []netip.Addr
	segment   *segment.Segment // nil while it cannot be opened
	signer    *auth.Signer
	verifier  *auth.Verifier
	mode      auth.Mode
	dialect   vrrp.Dialect

	counts   lanCounts
	problem  error // why no adverts go out
	failures int   // adverts in a row that could not be sent
	differs  string
	loggedAt [vrrp.Refusals + vrrp.Refusal(auth.Verdicts)]time.Duration
}

// lanCounts are shown; all of them count since the start.
type lanCounts struct {
	in, out, mismatch uint64
	// strange and dialect are when the last came that no key of ours made, and the
	// last with a checksum of the other kind; 0 for never.
	strange, dialect time.Duration
	refused          [vrrp.Refusals]uint64
	unproven         [auth.Verdicts]uint64
	skewed           bool
}

func newLANs(c *cluster) ([]*lan, error) {
	proof, err := c.plan.proof()
	if err != nil {
		return nil, err
	}
	var list []*lan
	for i, at := range segmentsOf(c.plan) {
		l := &lan{c: c, index: i, at: at, dialect: vrrp.WithPseudoHeader}
		if c.plan.Checksum == config.ChecksumPlain {
			l.dialect = vrrp.WithoutPseudoHeader
		}
		l.prove(proof)
		if c.plan.Unicast {
			for _, a := range c.plan.Addrs {
				if a.Interface == at.Interface && a.Addr.Is6() == at.IPv6 {
					l.peers = slices.DeleteFunc(slices.Clone(a.Peers), func(p netip.Addr) bool { return !p.IsValid() })
				}
			}
		}
		l.setAddresses(c.plan)
		list = append(list, l)
	}
	return list, nil
}

// open opens the sockets; what fails is tried again by repair.
func (l *lan) open() {
	s, err := segment.Open(segment.Options{
		Interface: l.at.Interface, Family: l.at.family(), MAC: l.c.plan.MAC(l.at.IPv6), Peers: l.peers,
		Receive: l.receive,
	})
	if err != nil {
		if l.problem == nil {
			l.c.log.Error("no adverts on this interface, trying again", "error", err)
		}
		l.problem = err
		return
	}
	l.segment, l.problem = s, nil
}

// mute says that adverts do not go out, or could not be heard: one that found a queue
// full proves nothing.
func (l *lan) mute() bool { return l.segment == nil && l.problem != nil || l.failures > 1 }

func (l *lan) close() {
	if l.segment == nil {
		return
	}
	if err := l.segment.Close(); err != nil {
		l.c.log.Warn("segment not closed cleanly", "error", err)
	}
	l.segment = nil
}

// repair opens again what is not the interface any more.
func (l *lan) repair() {
	if l.segment != nil && !errors.Is(l.segment.Err(), segment.ErrReopen) {
		if state, _ := l.c.machine.State(); state != election.Active {
			l.problem, l.failures = nil, 0 // what failed was the last that it had to send
		}
		return
	}
	l.close()
	l.open()
}

// advertise sends an advert; 0 resigns.
func (l *lan) advertise(priority uint8) {
	if l.segment == nil {
		return
	}
	a := vrrp.Advert{
		Version: uint8(l.c.plan.Version), VRID: uint8(l.c.plan.VRID), Priority: priority,
		Interval: l.c.plan.AdvertInterval, Addresses: l.addresses,
	}
	var signer *auth.Signer
	if l.mode.Signs() {
		signer = l.signer
	}
	var failed error
	for _, to := range l.segment.Destinations() {
		b, err := vrrp.Append(nil, &a, vrrp.Path{Source: l.segment.Source(), Destination: to}, l.dialect, signer)
		if err == nil {
			err = l.segment.Send(to, b)
		}
		if err != nil {
			failed = err
			continue
		}
		l.counts.out++
	}
	if failed != nil {
		l.failures++
	} else {
		l.failures = 0
	}
	if failed != nil && l.problem == nil {
		l.c.log.Warn("advert not sent", "error", failed)
	}
	l.problem = failed
}
