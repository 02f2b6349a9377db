package failover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// keeper is the [nettest.TB] of what several tests use one after the other.
type keeper struct {
	t    *testing.T // the one that uses it now, nil for none
	undo []func()
}

func (k *keeper) Helper()          { k.t.Helper() }
func (k *keeper) Cleanup(f func()) { k.undo = append(k.undo, f) }
func (k *keeper) Skipf(format string, args ...any) {
	k.t.Helper()
	k.t.Skipf(format, args...)
}

func (k *keeper) Errorf(format string, args ...any) {
	if k.t == nil {
		fmt.Fprintf(os.Stderr, "after all tests: "+format+"\n", args...)
		return
	}
	k.t.Helper()
	k.t.Errorf(format, args...)
}

func (k *keeper) Fatalf(format string, args ...any) {
	k.t.Helper()
	k.t.Fatalf(format, args...)
}

func (k *keeper) close() {
	for _, f := range slices.Backward(k.undo) {
		f()
	}
	k.undo = nil
}

// pair is two gateways that tests share, since a start takes seconds. Each test
// gets them well, with gw-a active, and may break what it likes but the switches.
type pair struct {
	*gateways
	keeper  *keeper
	a, b    *gateway
	running string // the settings
	watch   *observer
	mark    []int // changes in each history when the test began
}

// common is the pair at hand, nil before the first and after a test that failed.
var common *pair

// share returns the pair running settings, and watches its owner words until the
// test ends.
func share(t *testing.T, settings string) *pair {
	t.Helper()
	still.begin(t)
	if common == nil {
		p := &pair{keeper: &keeper{t: t}}
		common = p
		p.build(t)
	}
	p := common
	p.keeper.t, p.gateways.t = t, t
	t.Cleanup(p.giveBack)
	p.recover(settings)
	p.watch = observe(t, p.gateways)
	for _, g := range p.each {
		p.mark = append(p.mark, len(g.history()))
	}
	return p
}

func (p *pair) build(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	c, err := nettest.NewCluster(nettest.ClusterOptions{})
	must(t, err)
	p.keeper.Cleanup(func() {
		if err := c.Close(); err != nil {
			p.keeper.Errorf("%v", err)
		}
	})
	dir, err := os.MkdirTemp("", "sluice-pair-")
	must(t, err)
	p.keeper.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	p.gateways = &gateways{t: t, Cluster: c}
	for _, g := range c.Gateways {
		one := &gateway{ClusterGateway: g, all: p.gateways, dir: filepath.Join(dir, g.Label), bpffs: nettest.BPFFS(p.keeper)}
		must(t, os.MkdirAll(filepath.Join(one.dir, "data"), 0o755))
		must(t, os.WriteFile(filepath.Join(one.dir, "data", "cluster.key"), key, 0o600))
		one.log, err = os.Create(filepath.Join(one.dir, "log"))
		must(t, err)
		p.each = append(p.each, one)
	}
	p.a, p.b = p.each[0], p.each[1]
	backends(p.keeper, c)
}

// backends has each backend answer as an SSH server does.
func backends(t nettest.TB, c *nettest.Cluster) {
	for _, b := range c.Backends {
		nettest.ServeForTest(t, b.Namespace, netip.AddrPortFrom(b.Addr.V4, 22), nettest.ServerOptions{Banner: banner, Echo: true})
	}
}

// banner is what every backend says first.
const banner = "SSH-2.0-backend\r\n"

// recover makes the gateways well: faults are undone, what died is started again,
// and gw-a is active.
func (p *pair) recover(settings string) {
	p.t.Helper()
	fresh := settings != p.running
	p.settings, p.running = settings, settings
	for _, g := range p.each {
		must(p.t, g.Restore())
		switch {
		case !g.lives():
			g.cmd = nil
			must(p.t, os.RemoveAll(filepath.Join(g.bpffs, "sluice")))
			g.launch()
			p.eventually(g.Label+" is ready", func() error {
				_, err := g.generation()
				return err
			})
		case fresh:
			g.apply()
		}
	}
	p.agreed()
	p.oneActive()
	p.sound() // else the role moves again
	p.home()
	p.sound()
	p.serves()
}

// sound waits until no alarm is up, and each gateway has heard that the other one's
// pings are answered.
func (p *pair) sound() {
	p.t.Helper()
	p.eventually("both gateways are sound", func() error {
		for _, g := range p.each {
			if names := g.alarms(); len(names) > 0 {
				return fmt.Errorf("%s has %v", g.Label, names)
			}
			if c, err := g.cluster(); err != nil || len(c.Peers) == 0 || !c.Peers[0].PingsOK {
				return errors.Join(fmt.Errorf("%s hears that pings of the other one fail", g.Label), err)
			}
		}
		return nil
	})
}

// agreed waits until each gateway has heard from the other that it goes by the
// settings it was given last.
func (p *pair) agreed() {
	p.t.Helper()
	for i, g := range p.each {
		want, err := g.generation()
		must(p.t, err)
		other := p.each[1-i]
		p.eventually(fmt.Sprintf("%s goes by generation %d", g.Label, want), func() error {
			c, err := other.cluster()
			if err != nil || len(c.Peers) == 0 {
				return errors.Join(errors.New("no peer is shown"), err)
			}
			if got := c.Peers[0].Generation; got != want {
				return fmt.Errorf("it tells of %d", got)
			}
			return nil
		})
	}
}

// home moves the role to gw-a.
func (p *pair) home() {
	p.t.Helper()
	p.eventually("gw-a is active", func() error {
		if slices.Equal(p.states(), []string{"active", "backup"}) {
			return nil
		}
		_, err := p.a.try("vip", "swap", "--all")
		return errors.Join(fmt.Errorf("they are %v", p.states()), err)
	})
}

// oneActive waits until one is active and all others are backups.
func (all *gateways) oneActive() {
	all.t.Helper()
	want := slices.Repeat([]string{"backup"}, len(all.each))
	want[0] = "active"
	all.eventually("one is active", func() error {
		got := slices.Sorted(slices.Values(all.states()))
		if !slices.Equal(got, want) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

// giveBack ends a test's use. After a failure nobody knows how the pair is.
func (p *pair) giveBack() {
	if p.watch != nil {
		p.watch.end()
		p.watch = nil
	}
	p.mark = nil
	if p.gateways.t.Failed() {
		p.confess()
		p.close()
	}
}

// confess logs what the daemons said and how they see things.
func (p *pair) confess() {
	for _, g := range p.each {
		if g.lives() {
			c, err := g.cluster()
			p.t.Logf("%s: %+v %v", g.Label, c, err)
		}
		text, _ := os.ReadFile(g.log.Name())
		p.t.Logf("%s said:\n%s", g.Label, text[max(0, len(text)-20000):])
	}
}

// close ends the pair for good.
func (p *pair) close() {
	common = nil
	for _, g := range p.each {
		if err := g.Restore(); err != nil {
			p.keeper.Errorf("%v", err)
		}
		if g.lives() {
			_ = g.cmd.Process.Signal(syscall.SIGTERM) // and Close ends who does not hear
		}
	}
	p.keeper.close()
	for _, g := range p.each {
		if g.ended != nil {
			<-g.ended
		}
		g.log.Close()
	}
}

// lives says whether `sluice run` is there.
func (g *gateway) lives() bool {
	if g.cmd == nil {
		return false
	}
	select {
	case <-g.ended:
		return false
	default:
		return true
	}
}

// generation is that of the settings a gateway runs.
func (g *gateway) generation() (uint64, error) {
	client := control.NewClient(g.socket())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := client.Settings(ctx)
	return s.Generation, err
}

// apply has the gateway run what all.settings are now.
func (g *gateway) apply() {
	g.all.t.Helper()
	g.write()
	_, err := g.try("settings", "apply", g.file())
	must(g.all.t, err)
}
