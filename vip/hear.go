package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sluice/vip/auth"
	"sluice/vip/election"
	"sluice/vip/segment"
	"sluice/vip/vrrp"
)

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
