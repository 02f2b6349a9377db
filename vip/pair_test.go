package vip

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/internal/config"
	"sluice/vip/election"
)

const quick = 100 * time.Millisecond

// Two daemons that talk directly: one has the VIPs, the other takes them when it
// goes, in order or not, and at no time do the words of both stand open.
func TestTwoDaemons(t *testing.T) {
	d := newDuo(t)
	a, b := d.startBoth(quick)
	d.holds(a, b)

	s := a.status()
	if s.Term == 0 || s.VRID != 51 || s.Base != 200 || s.Cause == "" || s.Reason == "" || time.Since(s.Since) > patience || len(s.Faults) > 0 || len(s.Alarms) > 0 {
		t.Errorf("status of the active one: %+v", s)
	}
	if len(s.VIPs) != 2 || !s.VIPs[0].Owner || s.VIPs[0].MAC != "00:00:5e:00:01:33" || len(s.LANs) != 2 || s.LANs[0].Out == 0 || s.LANs[0].Problem != "" || len(s.Links) != 2 {
		t.Errorf("what the active one has: %+v", s)
	}
	s = b.until("hearing adverts", func(s ClusterStatus) bool { return len(s.LANs) == 2 && s.LANs[0].In > 0 && s.LANs[1].In > 0 })
	p := s.Peers[0]
	if s.VIPs[0].Owner || s.LANs[0].Out != 0 || s.LANs[0].ActiveAddr != a.gw.Ext.V4 || p.Node != "gw-a" || p.State != "active" || p.Base != 200 ||
		!p.Healthy || !p.LinksOK || !p.PingsOK || p.Version != "1.2.3" || p.Generation != 7 || p.SettingsDiffer || p.Term != s.Term {
		t.Errorf("status of the backup: %+v", s)
	}

	a.stop(true) // in order
	b.untilState("active")
	d.holds(b, a)
	if s := b.status(); s.Term <= p.Term {
		t.Errorf("term %d after %d", s.Term, p.Term)
	}
	a.start() // knows its plan; the role stays
	a.until("backup again", func(s ClusterStatus) bool { return s.State == "backup" && len(s.Peers) == 1 && s.Peers[0].Alive })
	d.holds(b, a)

	b.kill()
	a.untilState("active")
	d.holds(a, b)
	changes := a.history()
	if len(changes) < 2 || !slices.ContainsFunc(changes, func(c Change) bool { return c.To == "active" && c.Cluster == "edge" && c.Term > p.Term }) {
		t.Errorf("history %+v", changes)
	}
	a.stop(true)
	for _, vip := range d.vips() {
		neverTwo(t, vip, a.dir, b.dir)
		if a.has(vip) {
			t.Errorf("%s is left", vip)
		}
	}
}

// A successor goes on where its predecessor left, by the plan that it left, and the
// other gateway does not notice.
func TestRestartAdopts(t *testing.T) {
	d := newDuo(t)
	a, b := d.startBoth(time.Second)
	was, closed := a.status(), a.closings(d.VIP.V4)
	successor := a.spawn()
	lost := watchLoss(t, a, d.vips())
	a.stop(false)
	a.begin(successor)
	s := a.untilState("active")
	if s.Term != was.Term || s.Cause != string(election.CauseAdopted) {
		t.Errorf("term %d, cause %q; before %d", s.Term, s.Cause, was.Term)
	}
	a.until("in touch", func(s ClusterStatus) bool { return s.Peers[0].Alive && s.Peers[0].HearsUs })
	a.apply(d.plan(0, time.Second)) // the node speaks: nothing new
	if now := a.status(); now.State != "active" || now.Term != was.Term {
		t.Errorf("after the same plan: %+v", now)
	}
	if n := a.closings(d.VIP.V4); n != closed {
		t.Errorf("words were closed: %d times, before %d", n, closed)
	}
	if gone := lost(); len(gone) > 0 {
		t.Errorf("addresses went away: %v", gone)
	}
	if s := b.status(); s.State != "backup" || s.Changes[string(election.CauseSilent)] != 0 {
		t.Errorf("the other one: %+v", s)
	}
	a.stop(true)
	b.untilState("active")
	for _, vip := range d.vips() {
		neverTwo(t, vip, a.dir, b.dir)
	}
}

// watchLoss returns a function that tells which of some addresses went away since.
func watchLoss(t *testing.T, p *part, addrs []netip.Addr) func() []netip.Addr {
	t.Helper()
	updates, done := make(chan netlink.AddrUpdate, 1024), make(chan struct{})
	must(t, p.gw.Do(func() error { return netlink.AddrSubscribe(updates, done) }))
	return func() []netip.Addr {
		close(done)
		var gone []netip.Addr
		for u := range updates {
			addr, _ := netip.AddrFromSlice(u.LinkAddress.IP)
			if !u.NewAddr && slices.Contains(addrs, addr.Unmap()) {
				gone = append(gone, addr.Unmap())
			}
		}
		return gone
	}
}

// closings counts how often a VIP's word was closed.
func (p *part) closings(vip netip.Addr) int {
	n := 0
	for _, w := range p.writes() {
		if !w.Active && slices.Contains(w.VIPs, vip) {
			n++
		}
	}
	return n
}

// Plans change what they change, and nothing else.
func TestApply(t *testing.T) {
	d := newDuo(t)
	a, _ := d.startBoth(quick)
	kept, extra := d.VIP.V4, netip.MustParseAddr("192.0.2.33")
	closed := a.closings(kept)
	lost := watchLoss(t, a, []netip.Addr{kept})
	since := a.status().Since

	plan := d.plan(0, quick)
	plan.Generation = 8
	a.apply(plan) // the same but for its number
	d.each[1].until("told of the generation", func(s ClusterStatus) bool { return s.Peers[0].Generation == 8 })

	wrong := d.plan(0, quick)
	wrong.Clusters[0].VIPs = append(wrong.Clusters[0].VIPs, config.VIP{Addr: netip.PrefixFrom(a.gw.Ext.V4, 24), Interface: "ext0"})
	for range 2 { // it is no success the second time either
		if err := a.try("Apply", wrong, new(int)); err == nil {
			t.Error("a VIP that is an own address was taken")
		}
	}

	plan = d.plan(0, quick)
	plan.Clusters[0].VIPs = []config.VIP{plan.Clusters[0].VIPs[0], plan.Clusters[0].VIPs[1], {Addr: netip.PrefixFrom(extra, 24), Interface: "ext0"}}
	a.apply(plan)
	a.until("with one more VIP", func(s ClusterStatus) bool {
		return len(s.VIPs) == 3 && s.VIPs[2].Owner && a.has(extra)
	})
	d.each[1].until("told that settings differ", func(s ClusterStatus) bool {
		return slices.ContainsFunc(s.Alarms, func(x AlarmStatus) bool { return x.Name == "settings_differ" && x.Object == "gw-a" })
	})
	back := d.plan(0, quick)
	back.Clusters[0].Announce.Repeat = 3
	a.apply(back)
	a.until("without it", func(s ClusterStatus) bool { return len(s.VIPs) == 2 && !a.has(extra) })
	if n := a.closings(extra); n == 0 {
		t.Error("the word of a VIP that is gone was not closed")
	}
	if s := a.status(); s.State != "active" || s.Since.Sub(since).Abs() > time.Second {
		t.Errorf("the role changed: %+v", s)
	}
	if gone := lost(); len(gone) > 0 || a.closings(kept) != closed {
		t.Errorf("a VIP that stayed was gone: %v, closed %d times instead of %d", gone, a.closings(kept), closed)
	}

	a.apply(Plan{Node: "gw-a"})
	d.each[1].untilState("active")
	d.holds(d.each[1], a)
	a.apply(back)
	a.untilState("backup")
	neverTwo(t, kept, a.dir, d.each[1].dir)
}

// Words are opened as soon as there is a dataplane to have them.
func TestDataplaneComesLater(t *testing.T) {
	d := newDuo(t)
	a := d.each[0]
	plan := d.plan(0, quick)
	plan.Steers = false
	a.start()
	a.apply(plan)
	a.untilState("active")
	if n := len(a.writes()); n != 0 {
		t.Errorf("%d writes without a dataplane", n)
	}
	plan.Steers = true
	a.apply(plan)
	a.until("with open words", func(s ClusterStatus) bool { return s.State == "active" && s.VIPs[0].Owner && len(a.writes()) > 0 })
	if w := a.writes(); slices.ContainsFunc(w, func(w written) bool { return !w.Active }) {
		t.Errorf("words were closed: %+v", w)
	}
}

// A node that is away for longer than the watchdog allows is a fault, and no longer.
func TestWatchdog(t *testing.T) {
	d := newDuo(t)
	a, b := d.startBoth(quick)
	plan := d.plan(0, quick)
	plan.Watchdog = 200 * time.Millisecond
	a.apply(plan)
	a.call("Connected", false, new(int))
	s := a.untilState("fault")
	if len(s.Faults) == 0 || s.Faults[0] != "the node process is away for longer than 200ms" {
		t.Errorf("faults %q", s.Faults)
	}
	b.untilState("active")
	d.holds(b, a)
	a.call("Connected", true, new(int))
	a.untilState("backup")

	// What the node says is a fault is one, too.
	a.call("Health", Health{Faults: []string{"nothing listens"}}, new(int))
	if s := a.untilState("fault"); s.Faults[0] != "nothing listens" {
		t.Errorf("faults %q", s.Faults)
	}
	a.call("Health", Health{Synced: map[string]bool{"edge": true}}, new(int))
	a.untilState("backup")
	b.until("told that it may take over", func(s ClusterStatus) bool { return s.Peers[0].Healthy && s.Peers[0].State == "backup" })
	b.call("Order", Wish{"edge", election.Swap, 0}, new(int))
	a.untilState("active")
	b.untilState("backup")
	if err := b.try("Order", Wish{"dmz", election.Swap, 0}, new(int)); err == nil {
		t.Error("an order for a cluster that is not there was taken")
	}
	for _, vip := range d.vips() {
		neverTwo(t, vip, a.dir, b.dir)
	}
}

// An interface without a cable impairs: the other gateway takes the role, over all
// interfaces.
func TestCable(t *testing.T) {
	d := newDuo(t)
	a, b := d.startBoth(quick)
	must(t, a.gw.CableOut("int0"))
	b.untilState("active")
	s := a.untilState("backup")
	d.holds(b, a)
	i := slices.IndexFunc(s.Links, func(l LinkStatus) bool { return l.Interface == "int0" })
	if s.Links[i].Problem == "" || s.Links[1-i].Problem != "" {
		t.Errorf("links %+v", s.Links)
	}
	b.until("told of it", func(s ClusterStatus) bool { return s.Peers[0].Alive && !s.Peers[0].LinksOK && s.Peers[0].Healthy })
	must(t, a.gw.Restore())
	a.until("well again", func(s ClusterStatus) bool { return s.Links[0].Problem == "" && s.Links[1].Problem == "" })
	for _, vip := range d.vips() {
		neverTwo(t, vip, a.dir, b.dir)
	}
}
