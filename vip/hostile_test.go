package vip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/internal/config"
	"sluice/internal/nettest"
	"sluice/vip/segment"
)

// silent is the plan of gateway i without a heartbeat.
func (d *duo) silent(i int) Plan {
	p := d.plan(i, quick)
	p.Clusters[0].Heartbeat, p.Clusters[0].HeartbeatKey = config.Heartbeat{}, Secret{}
	return p
}

// ownAddr adds or deletes the gateway's own address on ext.
func (p *part) ownAddr(change func(netlink.Link, *netlink.Addr) error) {
	p.t.Helper()
	must(p.t, p.gw.Do(func() error {
		link, err := netlink.LinkByName("ext0")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(netip.PrefixFrom(p.gw.Ext.V4, 24).String())
		if err != nil {
			return err
		}
		return change(link, addr)
	}))
}

// By adverts alone: a gateway that loses the address that they come from cannot send
// nor hear any. It gives the role up, takes it never as long as that is so, and not
// as it starts either.
func TestNoSource(t *testing.T) {
	d := newDuo(t)
	a, b := d.each[0], d.each[1]
	for i, p := range d.each {
		p.start()
		p.apply(d.silent(i))
		p.untilState([]string{"active", "backup"}[i])
	}
	a.ownAddr(netlink.AddrDel)
	a.untilState("fault")
	a.closed()
	b.untilState("active")
	d.holds(b, a)
	a.stop(true)
	b.stop(true) // nobody else is heard
	a.start()
	a.untilState("fault")
	a.ownAddr(netlink.AddrAdd)
	a.untilState("active")
	for _, vip := range d.vips() {
		neverTwo(t, vip, a.dir, b.dir)
	}
}

// Whatever anybody sends on the network, and however much of it: a gateway that is
// alone takes the role and keeps it, and counts what it refused.
func TestGarbage(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond} {
		t.Run(every.String(), func(t *testing.T) {
			d := newDuo(t)
			stop := d.litter(every)
			a := d.each[0]
			a.start()
			a.apply(d.silent(0))
			a.untilState("active")
			was := a.status()
			s := a.until("advertising under garbage", func(s ClusterStatus) bool {
				return s.LANs[0].Out >= was.LANs[0].Out+30 && s.LANs[0].Refused["unknown_version"] >= was.LANs[0].Refused["unknown_version"]+20
			})
			if s.State != "active" || s.Term != 1 || !s.VIPs[0].Owner {
				t.Errorf("%+v", s)
			}
			stop()
		})
	}
}

// litter has the client send what is no advert.
func (d *duo) litter(every time.Duration) (stop func()) {
	d.t.Helper()
	var from *segment.Segment
	must(d.t, d.Client.Do(func() (err error) {
		from, err = segment.Open(segment.Options{Interface: nettest.HostLink, Family: 4, Receive: func(segment.Packet) {}})
		return err
	}))
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-quit:
				done <- nil
				return
			case <-ticks.C:
				for _, to := range from.Destinations() {
					if err := from.Send(to, []byte("\xff\xff no advert at all")); err != nil {
						done <- fmt.Errorf("litter: %v", err)
						return
					}
				}
			}
		}
	}()
	return func() {
		d.t.Helper()
		close(quit)
		must(d.t, <-done)
		must(d.t, from.Close())
	}
}

// A VIP goes from the settings: the dataplane hears of it first and has no word for
// it any more. The others lose nothing; without a plan that goes with it, it is a
// fault after a while.
func TestVIPRemoved(t *testing.T) {
	d := newDuo(t)
	a, b := d.startBoth(quick)
	gone, kept := d.InsideVIP.V4, d.VIP.V4
	plan := d.plan(0, quick)
	plan.Clusters[0].VIPs = append(plan.Clusters[0].VIPs, config.VIP{Addr: netip.MustParsePrefix("10.0.2.44/24"), Interface: "int0"})
	both := d.plan(1, quick)
	both.Clusters[0].VIPs = plan.Clusters[0].VIPs
	extra := plan.Clusters[0].VIPs[2].Addr.Addr()
	a.apply(plan)
	b.apply(both)
	a.until("with three VIPs", func(s ClusterStatus) bool { return len(s.VIPs) == 3 && s.VIPs[2].Owner && a.has(extra) })
	changes, closed := len(a.history()), a.closings(kept)

	a.call("Words", Odd{Unknown: extra}, new(int))
	was := a.status().LANs[0].Out
	a.call("Health", Health{Synced: map[string]bool{"edge": true}}, new(int))
	a.until("going on", func(s ClusterStatus) bool { return s.LANs[0].Out >= was+5 })
	a.apply(d.plan(0, quick))
	a.until("with two VIPs", func(s ClusterStatus) bool { return len(s.VIPs) == 2 && !a.has(extra) })
	if h := a.history(); len(h) != changes || a.closings(kept) != closed {
		t.Errorf("the others lost something: %+v", h[changes:])
	}

	a.call("Words", Odd{Unknown: gone}, new(int))
	a.untilState("fault")
	b.untilState("active")
	for _, vip := range d.vips() {
		neverTwo(t, vip, a.dir, b.dir)
	}
}
