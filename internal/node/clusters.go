package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/failover"
	"sluice/vip"
)

// maxKeyFile bounds what is read of a key file: keys have 64 bytes at most, in hex
// twice that.
const maxKeyFile = 1024

// healthEvery is how often the vip process hears how this node is, and comingEvery
// how often while flows of an active gateway are on their way here: an election that
// waits for them has to know that they come still.
const (
	healthEvery = 200 * time.Millisecond
	comingEvery = 50 * time.Millisecond
)

// elected are the VIPs that an election decides about.
func elected(s *config.Settings) []netip.Addr {
	var list []netip.Addr
	for _, c := range s.VirtualClusters {
		if !c.Member {
			continue
		}
		for _, v := range c.VIPs {
			list = append(list, v.Addr.Addr())
		}
	}
	return list
}

// hasClusters says whether this node takes part in an election.
func hasClusters(s *config.Settings) bool {
	for _, c := range s.VirtualClusters {
		if c.Member {
			return true
		}
	}
	return false
}

// planOf is what the vip process is to run by settings.
func (n *node) planOf(r *running) (vip.Plan, error) {
	p := vip.Plan{
		Node: n.self.Name, Version: control.ThisBuild().Version, Generation: r.generation.Number,
		Watchdog: r.settings.Dataplane.Watchdog, Steers: len(r.settings.Services) > 0,
	}
	for _, c := range r.settings.VirtualClusters {
		if !c.Member {
			continue
		}
		one := vip.Cluster{VirtualCluster: c, HeartbeatKey: vip.NewSecret(n.key.Heartbeat(c.Name))}
		for _, k := range c.Auth.Keys {
			secret, err := readKey(k.File)
			if err != nil {
				return p, fmt.Errorf("virtual cluster %q: key %d: %v", c.Name, k.ID, err)
			}
			if one.AdvertKeys == nil {
				one.AdvertKeys = map[uint8]vip.Secret{}
			}
			one.AdvertKeys[uint8(k.ID)] = secret
		}
		p.Clusters = append(p.Clusters, one)
	}
	return p, p.Check()
}

func readKey(path string) (vip.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return vip.Secret{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return vip.Secret{}, err
	}
	return vip.ParseAdvertKey(text)
}

// keepClusters tells the vip process what to run and how this node is, as long as
// the node runs.
type keepClusters struct {
	gate
	n *node
	// said is what the parent was told of. refused is what could not be applied, and
	// again when it may be tried again.
	said, refused *running
	again         time.Time
}

// applyAgain is the pause before a plan that was refused is tried again.
const applyAgain = 5 * time.Second

func newKeepClusters(n *node) *keepClusters { return &keepClusters{gate: newGate(), n: n} }

// String implements [Task].
func (*keepClusters) String() string { return "virtual clusters" }

// Run implements [Task].
func (t *keepClusters) Run(ctx context.Context) error {
	t.open()
	n := t.n
	defer n.vips.Close()
	ticks := time.NewTicker(healthEvery)
	defer ticks.Stop()
	var told *running // by this connection
	for {
		if now := n.running.Load(); now != nil {
			told = t.tell(ctx, now, told)
			ticks.Reset(n.healthEvery(now))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

func (n *node) healthEvery(now *running) time.Duration {
	for _, c := range now.settings.VirtualClusters {
		if n.streamed(c) != 0 {
			return comingEvery
		}
	}
	return healthEvery
}

// tell brings the vip process up to date and returns what it knows, nil for
// nothing.
func (t *keepClusters) tell(ctx context.Context, now, told *running) *running {
	n := t.n
	wanted := hasClusters(now.settings)
	if t.said != now {
		t.said = now
		n.reporter.Failover(wanted)
	}
	if !wanted && (told == nil || told == now) {
		n.notes.set("vip", nil)
		return now
	}
	err := n.vips.SetHealth(ctx, n.health(now))
	if err == nil && told != now {
		if t.refused == now && time.Now().Before(t.again) {
			return told
		}
		var p vip.Plan
		if p, err = n.planOf(now); err == nil {
			err = n.vips.Apply(ctx, p)
		}
		if err != nil && !errors.Is(err, failover.ErrAway) {
			t.refused, t.again = now, time.Now().Add(applyAgain)
		}
	}
	if ctx.Err() != nil {
		return told
	}
	n.notes.set("vip", vipAlarm(err))
	if err != nil {
		return nil
	}
	return now
}

// vipAlarm says that the virtual clusters do not run as they should.
func vipAlarm(err error) *control.Alarm {
	if err == nil {
		return nil
	}
	return &control.Alarm{
		Severity: critical, Subject: "virtual clusters", Text: err.Error(),
		Hint: `look at the log of "sluice run"`,
	}
}

// health is how this node is for its virtual clusters.
func (n *node) health(now *running) vip.Health {
	h := vip.Health{Synced: map[string]bool{}, Streamed: map[string]time.Duration{}, Terms: n.terms()}
	for _, c := range now.settings.VirtualClusters {
		h.Synced[c.Name] = n.synced(c)
		if at := n.streamed(c); at != 0 {
			h.Streamed[c.Name] = at
		}
	}
	if len(now.settings.Services) == 0 {
		return h
	}
	e := n.engine.Load()
	if e == nil {
		h.Faults = append(h.Faults, "the dataplane is being opened anew")
		return h
	}
	for _, s := range now.settings.Services {
		if s.Mode != config.ModeSSHD || s.Spread() {
			continue // others may terminate it
		}
		if has, err := e.HasListener(s.Listen); err != nil || !has {
			h.Faults = append(h.Faults, fmt.Sprintf("nothing listens for service %q", s.Name))
		}
	}
	return h
}
