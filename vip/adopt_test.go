package vip

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// closed fails where the gateway's last word is not that it is closed.
func (p *part) closed() {
	p.t.Helper()
	list := p.writes()
	if len(list) == 0 || list[len(list)-1].Active {
		p.t.Errorf("%s is no active gateway, and its owner words are open: %+v", p.gw.Label, list[max(0, len(list)-3):])
	}
}

// A successor that cannot go on where its predecessor stopped, because something is
// in the way or because the words closed meanwhile, has closed them before it tells
// that it has a fault.
func TestAdoptFails(t *testing.T) {
	for name, row := range map[string]struct {
		left  time.Duration
		fault string
		spoil func(p *part)
	}{
		"in the way": {time.Minute, "arp_ignore is 8", func(p *part) { must(p.t, p.gw.SetSysctl("net/ipv4/conf/all/arp_ignore", "8")) }},
		"late":       {-1, "its owner words closed meanwhile", func(*part) {}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDuo(t)
			a, b := d.startBoth(quick)
			successor := a.spawn()
			must(t, successor.calls.Call("D.Words", Odd{Left: row.left}, new(int)))
			a.stop(false)
			row.spoil(a)
			a.begin(successor)
			a.until("faulty", func(s ClusterStatus) bool {
				return s.State == "fault" || slices.ContainsFunc(a.history(), func(c Change) bool { return c.To == "fault" })
			})
			a.closed()
			b.untilState("active")
			a.call("Words", Odd{}, new(int))
			must(t, a.gw.SetSysctl("net/ipv4/conf/all/arp_ignore", "0"))
			a.untilState("backup")
			d.holds(b, a)
			for _, vip := range d.vips() {
				neverTwo(t, vip, a.dir, b.dir)
			}
			h := a.history()
			if i := slices.IndexFunc(h, func(c Change) bool { return c.To == "fault" }); i < 0 || !strings.Contains(h[i].Reason, row.fault) {
				t.Errorf("history %+v", h)
			}
		})
	}
}

// A plan that comes while the daemon ends begins nothing.
func TestLatePlan(t *testing.T) {
	d, _, _ := bench(samplePlan())
	d.Directory, d.clusters, d.Log = t.TempDir(), map[string]*cluster{}, discard
	d.ctx = context.Background()
	d.stop(true)
	if err := d.Apply(samplePlan()); err == nil || len(d.clusters) > 0 {
		t.Errorf("taken: %v, %v", err, d.clusters)
	}
	duo := newDuo(t)
	a := duo.each[0]
	a.start()
	a.apply(duo.plan(0, quick))
	a.untilState("active")
	late := duo.plan(0, quick)
	late.Clusters[0].OwnPriority++
	applied := a.calls.Go("D.Apply", late, new(int), nil)
	a.stop(true)
	<-applied.Done // in time or too late
	a.closed()
	for _, vip := range duo.vips() {
		if a.has(vip) {
			t.Errorf("%s was taken back", vip)
		}
	}
}

// An interface has its own settings back after its last cluster, also where that
// went on from another plan's.
func TestSettingsBack(t *testing.T) {
	d := newDuo(t)
	a := d.each[0]
	const key = "net/ipv4/conf/ext0/arp_ignore"
	sysctl := func() string {
		value, err := a.gw.Sysctl(key)
		must(t, err)
		return value
	}
	before := sysctl()
	a.start()
	a.apply(d.plan(0, quick))
	a.untilState("active")
	if sysctl() == before {
		t.Fatalf("%s is %s as before: nothing to give back", key, before)
	}
	other := d.plan(0, quick)
	other.Clusters[0].OwnPriority++
	other.Clusters[0].Priority["gw-a"]++
	a.apply(other)
	a.until("active by the other plan", func(s ClusterStatus) bool { return s.State == "active" && s.Base == 201 })
	a.stop(true)
	if got := sysctl(); got != before {
		t.Errorf("%s is %s after the end, was %s", key, got, before)
	}
}
