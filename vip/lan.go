package vip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"sluice/internal/config"
	"sluice/vip/auth"
	"sluice/vip/election"
	"sluice/vip/segment"
	"sluice/vip/vrrp"
)

// place is where a VRRP instance is: an interface and an address family.
type place struct {
	Interface string
	IPv6      bool
}

func (p place) family() int {
	if p.IPv6 {
		return 6
	}
	return 4
}

// segmentsOf are the places of a cluster's VIPs, in the order of the settings.
func segmentsOf(p Cluster) []place {
	var list []place
	for _, v := range p.VIPs {
		if at := (place{v.Interface, v.IPv6()}); !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

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

// setAddresses takes over the VIPs of this place. An IPv6 list begins with a
// link-local address (RFC 9568 §5.2.9): the one that another gateway's list begins
// with, since some refuse any other, or the one that the virtual MAC makes.
func (l *lan) setAddresses(p Cluster) {
	var list []netip.Addr
	for _, v := range p.VIPs {
		if v.Interface == l.at.Interface && v.IPv6() == l.at.IPv6 {
			list = append(list, v.Addr.Addr())
		}
	}
	if l.at.IPv6 {
		local := slices.IndexFunc(list, netip.Addr.IsLinkLocalUnicast)
		switch {
		case local > 0:
			list[0], list[local] = list[local], list[0]
		case local < 0 && l.local.IsValid():
			list = append([]netip.Addr{l.local}, list...)
		case local < 0:
			list = append([]netip.Addr{linkLocal(p.MAC(true), p.VRID)}, list...)
		}
	}
	l.addresses = list
}

// linkLocal is the address of a MAC in modified EUI-64 format (RFC 4291, A).
func linkLocal(mac net.HardwareAddr, vrid int) netip.Addr {
	if mac == nil {
		mac = net.HardwareAddr{0, 0, 0x5e, 0, 2, byte(vrid)}
	}
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
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

// receive is called by the segment's goroutine.
func (l *lan) receive(p segment.Packet) {
	l.c.packet(func(now time.Duration) { l.judge(now, p) })
}

// judge lets an advert pass to the election, or counts why not.
func (l *lan) judge(now time.Duration, p segment.Packet) {
	if l.segment == nil {
		return
	}
	r, refusal := vrrp.Parse(vrrp.Packet{
		Path: vrrp.Path{Source: p.Source, Destination: p.Destination}, HopLimit: uint8(p.TTL), Payload: p.Payload,
	}, vrrp.Rules{Dialect: l.dialect, AnyFirst: true})
	switch {
	case refusal != vrrp.Accepted:
	case int(r.VRID) != l.c.plan.VRID:
		refusal = vrrp.UnknownVRID
	case int(r.Version) != l.c.plan.Version:
		refusal = vrrp.OtherVersion
	}
	if refusal != vrrp.Accepted {
		l.refuse(now, refusal, p, r.VRID)
		return
	}
	if r.Mismatch {
		l.counts.mismatch++
		l.counts.dialect = now
	}
	if l.mode != auth.Off && !l.verify(now, p.Source, &r) {
		return
	}
	l.counts.in++
	l.compare(&r)
	l.c.machine.Advert(now, l.index, election.Advert{
		Source: p.Source, Own: l.segment.Source(), Priority: r.Priority, Interval: r.Interval,
	})
}

func (l *lan) verify(now time.Duration, source netip.Addr, r *vrrp.Received) bool {
	result := r.Verify(l.verifier)
	if l.mode.Accepts(result.Verdict) {
		l.counts.skewed = result.Skewed
		return true
	}
	l.counts.unproven[result.Verdict]++
	switch result.Verdict {
	case auth.BadMAC, auth.UnknownKey, auth.MissingTrailer:
		l.counts.strange = now
	case auth.NotFresh:
		l.c.machine.Suspect(now, l.index)
	}
	if l.quiet(now, int(vrrp.Refusals)+int(result.Verdict)) {
		l.c.log.Warn("advert not taken", "interface", l.at.Interface, "source", source, "reason", result.Verdict.String(),
			"key", result.KeyID, "clock_ahead", result.Skew, "advice", result.Verdict.Advice())
	}
	return false
}

func (l *lan) refuse(now time.Duration, refusal vrrp.Refusal, p segment.Packet, vrid uint8) {
	l.counts.refused[refusal]++
	if refusal != vrrp.UnknownVRID && l.quiet(now, int(refusal)) { // other routers are nobody's fault
		l.c.log.Warn("advert not taken", "interface", l.at.Interface, "source", p.Source, "vrid", vrid,
			"reason", refusal.String(), "advice", refusal.Advice())
	}
}

// quiet says whether a reason was not logged for a while.
func (l *lan) quiet(now time.Duration, reason int) bool {
	if at := l.loggedAt[reason]; at != 0 && now-at < 30*time.Second {
		return false
	}
	l.loggedAt[reason] = now
	return true
}

// compare notices that another gateway goes by other settings.
func (l *lan) compare(r *vrrp.Received) {
	l.differs = ""
	if r.Priority == 0 {
		return
	}
	ours, theirs := slices.Clone(l.addresses), slices.Clone(r.Addresses)
	if l.at.IPv6 { // whose link-local address comes first is each one's affair
		local := netip.Addr.IsLinkLocalUnicast
		ours, theirs = slices.DeleteFunc(ours, local), slices.DeleteFunc(theirs, local)
	}
	slices.SortFunc(ours, netip.Addr.Compare)
	slices.SortFunc(theirs, netip.Addr.Compare)
	switch {
	case !slices.Equal(ours, theirs):
		l.differs = fmt.Sprintf("on %s the active gateway advertises %v, the settings here say %v", l.at.Interface, theirs, ours)
	case r.Interval != l.c.plan.AdvertInterval:
		l.differs = fmt.Sprintf("on %s the active gateway advertises each %v, the settings here say %v", l.at.Interface, r.Interval, l.c.plan.AdvertInterval)
	}
	if slices.Equal(ours, theirs) {
		l.followLocal(r.Addresses[0])
	}
}

// followLocal has our IPv6 list begin as that of another gateway with the same VIPs:
// keepalived refuses a list with any address that is not in its own.
func (l *lan) followLocal(first netip.Addr) {
	if l.at.IPv6 && first.IsLinkLocalUnicast() && first != l.addresses[0] {
		l.c.log.Info("adverts begin as those of another gateway", "interface", l.at.Interface, "address", first)
		l.local = first
		l.setAddresses(l.c.plan)
	}
}
