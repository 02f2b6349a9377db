package vip

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/config"
)

// aheadVar tells a daemon by how much the clock of its machine is ahead of ours.
const aheadVar = "SLUICE_TEST_AHEAD"

// shifted is the clock of a machine that is not this one.
type shifted struct{ ahead atomic.Int64 }

func openClock() (*shifted, error) {
	s := &shifted{}
	if text := os.Getenv(aheadVar); text != "" {
		ahead, err := time.ParseDuration(text)
		if err != nil {
			return nil, err
		}
		s.ahead.Store(int64(ahead))
	}
	return s, nil
}

// now has no monotonic reading, as a clock that was stepped has none that helps.
func (s *shifted) now() time.Time { return time.Now().Round(0).Add(time.Duration(s.ahead.Load())) }

// signed is the plan of gateway i with adverts signed and looked at in a mode.
func (d *duo) signed(i int, mode string) Plan {
	p := d.plan(i, quick)
	c := &p.Clusters[0]
	c.Auth = config.Auth{Mode: config.AuthMode(mode)}
	if mode != "off" {
		c.Auth.Keys, c.Auth.Send = []config.AuthKey{{ID: 1, File: "/k"}}, 1
		c.AdvertKeys = map[uint8]Secret{1: NewSecret([]byte(advertText))}
	}
	return p
}

// startSigned starts a gateway's daemon and waits for its state.
func (d *duo) startSigned(i int, mode, state string) *part {
	d.t.Helper()
	p := d.each[i]
	p.start()
	p.apply(d.signed(i, mode))
	p.call("Connected", true, new(int))
	p.call("Health", Health{Synced: map[string]bool{"edge": true}}, new(int))
	p.untilState(state)
	return p
}

// takes waits until more adverts came on each segment than may be missed; none is
// refused meanwhile.
func (p *part) takes() {
	p.t.Helper()
	was := p.status()
	now := p.until("taking adverts", func(s ClusterStatus) bool {
		return !slices.ContainsFunc([]int{0, 1}, func(i int) bool { return s.LANs[i].In < was.LANs[i].In+5 })
	})
	for i, l := range now.LANs {
		if fmt.Sprint(l.Refused) != fmt.Sprint(was.LANs[i].Refused) {
			p.t.Errorf("%s refused adverts: %v, before %v", p.gw.Label, l.Refused, was.LANs[i].Refused)
		}
	}
}

// refuses waits until more adverts were not fresh on each segment than may be missed.
func (p *part) refuses() {
	p.t.Helper()
	was := p.status()
	p.until("refusing adverts", func(s ClusterStatus) bool {
		return !slices.ContainsFunc([]int{0, 1}, func(i int) bool {
			return s.LANs[i].Refused["not_fresh"] < was.LANs[i].Refused["not_fresh"]+5
		})
	})
}

func alarmed(s ClusterStatus, name string) bool {
	return slices.ContainsFunc(s.Alarms, func(a AlarmStatus) bool { return a.Name == name })
}

// wantRoles fails where a gateway is not what it was, or was anything else meanwhile.
func (d *duo) wantRoles(changes map[*part]int) {
	d.t.Helper()
	for p, n := range changes {
		if h := p.history(); len(h) != n {
			d.t.Errorf("%s changed: %+v", p.gw.Label, h[n:])
		}
	}
	for _, vip := range d.vips() {
		neverTwo(d.t, vip, d.each[0].dir, d.each[1].dir)
	}
}

// F14: the clock of a machine is set wrong by hours and right again, that of the
// active gateway or of the backup. Adverts go on and are taken, no role changes, and
// where their age counts an alarm tells of the clock for as long.
func TestF14ClockSteps(t *testing.T) {
	for _, mode := range []string{"off", "permissive", "enforce"} {
		t.Run(mode, func(t *testing.T) {
			d := newDuo(t)
			a, b := d.startSigned(0, mode, "active"), d.startSigned(1, mode, "backup")
			b.takes()
			changes := map[*part]int{a: len(a.history()), b: len(b.history())}
			for _, who := range []*part{a, b} {
				for _, step := range []time.Duration{3 * time.Hour, -3 * time.Hour, 8 * time.Second} {
					for _, by := range []time.Duration{step, -step} {
						who.step(by)
						wrong := who.ahead != 0 && mode != "off"
						what := fmt.Sprintf("telling of a clock that is %v ahead", who.ahead)
						who.until(what, func(s ClusterStatus) bool { return alarmed(s, "clock") == wrong })
						b.takes()
					}
				}
			}
			for _, p := range d.each {
				p.until("without an alarm", func(s ClusterStatus) bool { return len(s.Alarms) == 0 })
			}
			d.wantRoles(changes)
		})
	}
}

// F14: a gateway that starts while its machine's clock is wrong by hours has its
// adverts refused, where their age counts, and takes none; alarms tell why, and the
// other gateway stays what it is. When the clock is set right both understand each
// other, without a restart.
func TestF14StartedWrong(t *testing.T) {
	for _, wrong := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		for _, mode := range []string{"permissive", "enforce"} {
			t.Run(fmt.Sprint(mode, wrong), func(t *testing.T) {
				d := newDuo(t)
				a, b := d.each[0], d.each[1]
				a.ahead = wrong
				d.startSigned(0, mode, "active")
				d.startSigned(1, mode, "backup")
				changes := map[*part]int{a: len(a.history()), b: len(b.history())}
				b.refuses()
				b.until("alarmed", func(s ClusterStatus) bool { return alarmed(s, "not_fresh") && alarmed(s, "clock") })
				a.until("alarmed", func(s ClusterStatus) bool { return alarmed(s, "clock") })
				a.step(-wrong)
				a.until("right", func(s ClusterStatus) bool { return !alarmed(s, "clock") })
				b.until("hearing it", func(s ClusterStatus) bool {
					return s.LANs[0].ActiveAddr == a.gw.Ext.V4 && s.LANs[1].ActiveAddr == a.gw.Int.V4
				})
				b.takes()
				b.until("right", func(s ClusterStatus) bool { return !alarmed(s, "clock") })
				d.wantRoles(changes)

				// A backup that started wrong, set right, is heard when it takes over.
				b.stop(true)
				b.ahead = wrong
				b.start()
				b.untilState("backup")
				b.refuses()
				b.step(-wrong)
				b.takes()
				b.until("right", func(s ClusterStatus) bool { return !alarmed(s, "clock") && s.Peers[0].HearsUs })
				a.stop(true)
				b.untilState("active")
				a.start()
				a.untilState("backup")
				a.takes()
				d.wantRoles(nil)
			})
		}
	}
}

// F14: where adverts are all there is, those of a gateway that started wrong are no
// reason to take its role, as long as they come. Nothing but a restart has it sign by
// the right clock, because no advert proves that it is new.
func TestF14WithoutHeartbeat(t *testing.T) {
	d := newDuo(t)
	a, b := d.each[0], d.each[1]
	a.ahead = -3 * time.Hour
	for i, p := range d.each {
		plan := d.signed(i, "enforce")
		plan.Clusters[0].Heartbeat, plan.Clusters[0].HeartbeatKey = config.Heartbeat{}, Secret{}
		p.start()
		p.apply(plan)
		p.untilState([]string{"active", "backup"}[i])
	}
	changes := map[*part]int{a: len(a.history()), b: len(b.history())}
	b.refuses()
	b.until("alarmed", func(s ClusterStatus) bool { return alarmed(s, "not_fresh") })
	a.step(-a.ahead)
	b.refuses()
	d.wantRoles(changes)
	a.stop(true)
	b.untilState("active")
	a.start()
	a.untilState("backup")
	a.takes()
	b.stop(true)
	a.untilState("active")
	b.start()
	b.untilState("backup")
	b.takes()
	d.wantRoles(nil)
}
