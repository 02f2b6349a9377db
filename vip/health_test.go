package vip

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"sluice/vip/address"
	"sluice/vip/election"
)

var (
	errGone = errors.New("gone")
	discard = slog.New(slog.DiscardHandler)
)

// bench is a daemon with one cluster whose loop is the test.
func bench(plan Plan) (d *Daemon, c *cluster, now *time.Duration) {
	now = new(time.Duration)
	*now = time.Hour
	d = &Daemon{Options: Options{Now: func() time.Duration { return *now }}, plan: plan, nodeGone: *now, clusters: map[string]*cluster{}}
	c = &cluster{
		d: d, plan: plan.Clusters[0], inbox: make(chan func(time.Duration), 8), ended: make(chan struct{}), links: map[string]string{},
		pings: &pings{}, machine: election.New(electionConfig(d, plan.Clusters[0])),
	}
	d.clusters["edge"] = c
	return d, c, now
}

// turn lets the loop do what waits.
func (c *cluster) turn(now time.Duration) {
	for len(c.inbox) > 0 {
		(<-c.inbox)(now)
	}
}

// A node that does not say how it is counts as a fault after the watchdog's time,
// whether it is away or hangs, and not before the time where it has not come yet.
func TestWatchdogTimes(t *testing.T) {
	plan := samplePlan() // of 3s
	d, c, now := bench(plan)
	away := []string{"the node process is away for longer than 3s"}
	look := func() {
		d.mu.Lock()
		d.spread()
		d.mu.Unlock()
	}
	for i, step := range []struct {
		after time.Duration
		do    func()
		want  []string
	}{
		{0, look, nil},
		{3 * time.Second, look, nil},
		{time.Millisecond, look, away},
		{time.Hour, func() { d.Connected(true) }, nil},
		{time.Hour, look, away}, // it is there and hangs
		{0, func() { d.SetHealth(Health{Faults: []string{"x"}}) }, []string{"x"}},
		{0, func() { d.Connected(false) }, []string{"x"}},
		{3 * time.Second, look, []string{"x"}},
		{time.Second, look, append(slices.Clone(away), "x")},
		{0, func() { d.SetHealth(Health{}) }, nil},
		{0, func() { d.Connected(true) }, nil},
	} {
		*now += step.after
		step.do()
		c.turn(*now)
		if got := c.local().Faults; !slices.Equal(got, step.want) {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	d.plan.Watchdog = 0 // never
	d.Connected(false)
	*now += 24 * time.Hour
	look()
	if c.turn(*now); len(c.local().Faults) > 0 {
		t.Errorf("without a watchdog: %q", c.local().Faults)
	}
}

// What is wrong here reaches the election, each once.
func TestLocal(t *testing.T) {
	d, c, now := bench(samplePlan())
	d.SetHealth(Health{Synced: map[string]bool{"edge": true}})
	c.turn(*now)
	if l := c.local(); !l.Synced || len(l.Faults) > 0 || len(l.LinksDown) > 0 || len(l.PingsFailed) > 0 {
		t.Errorf("%+v", l)
	}
	d.SetHealth(Health{Synced: map[string]bool{"dmz": true}})
	c.turn(*now)
	c.takeFault, c.wordFault = "the VIPs cannot be taken", errGone
	c.links["ext0"], c.links["other0"] = "link down", "link down"
	l := c.local()
	if l.Synced || !slices.Equal(l.Faults, []string{"the VIPs cannot be taken", "the dataplane's owner words cannot be set: gone"}) || !slices.Equal(l.LinksDown, []string{"ext0"}) {
		t.Errorf("%+v", l)
	}
}

func TestLinkEvents(t *testing.T) {
	_, c, now := bench(samplePlan())
	c.log = discard
	for _, step := range []struct {
		kind address.Kind
		want string
	}{
		{address.LinkDown, "link down"}, {address.LinkUp, ""}, {address.LinkGone, "link gone"}, {address.LinkBack, ""},
		{address.LinkRenamed, "link renamed"}, {address.LinkBack, ""}, {address.OwnChanged, ""},
	} {
		c.linkEvent(*now, address.Event{Kind: step.kind, Interface: "ext0"})
		if got := c.links["ext0"]; (got == "") != (step.want == "") {
			t.Errorf("%v: %q", step.kind, got)
		}
		if down := len(c.local().LinksDown) > 0; down != (step.want != "") {
			t.Errorf("%v: down %t", step.kind, down)
		}
	}
}
