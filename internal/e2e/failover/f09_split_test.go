package failover

import (
	"errors"
	"fmt"
	"testing"

	"sluice/internal/nettest"
)

// part keeps the gateways from each other on the networks, or joins them again;
// everybody else still reaches both.
func (p *pair) part(apart bool) {
	p.t.Helper()
	state := map[bool]string{true: "on", false: "off"}[apart]
	for _, in := range []*nettest.Namespace{p.Ext, p.Int} {
		for _, g := range p.each {
			p.run(in, "ip link set dev "+g.Label+" type bridge_slave isolated "+state)
		}
	}
}

// TestF09BothCut is the one fault that two nodes cannot tell from a dead peer:
// nothing passes between them, and both reach all others. Both are active, until
// they hear each other again.
func TestF09BothCut(t *testing.T) {
	// Announcements are few, so that what comes after the heal is because of it.
	p := share(t, with(pinged, "    vrid: 51\n", "    vrid: 51\n    announce: {repeat: 1, delay: 0s}\n"))
	p.watch.allowTwo(true)
	t.Cleanup(func() { p.part(false) })
	p.part(true)
	must(t, p.a.CableOut(nettest.HeartbeatLink))
	p.want("active", "active")
	ear := listen(t, p.Ext, p.a.Label)

	p.part(false)
	p.want("active", "backup")
	p.watch.allowTwo(false)
	p.eventually("the winner announces again", func() error {
		if ear.announced(p.VIP.V4.String()) == 0 {
			return errors.New("nothing since the heal")
		}
		return nil
	})
	p.serves()
	must(t, p.a.Restore())
	p.wantNoAlarms(p.each...)
	p.wantChanges(p.a)
	changes := p.changes(p.b)
	if len(changes) != 2 || changes[0] != "backup>active active_silent" {
		t.Errorf("gw-b changed %q; active and back is what it should", changes)
	}
}

// TestF10Isolated: who reaches nobody gives up before the other takes over.
func TestF10Isolated(t *testing.T) {
	p := share(t, pinged)
	for _, link := range []string{nettest.HeartbeatLink, nettest.OutsideLink, nettest.InsideLink} {
		must(t, p.a.SilentLoss(link, nettest.BothWays))
	}
	p.want("backup", "active")
	p.wantAlarm(p.a, "isolated")
	p.gone(p.a)
	p.serves()
	must(t, p.a.Restore())
	p.wantNoAlarms(p.each...)
	p.want("backup", "active")
	p.wantChanges(p.a, "active>backup isolated")
	p.wantChanges(p.b, "backup>active active_silent")
}

// mute keeps backends from answering a gateway, or lets them again.
func (p *pair) mute(g *gateway, off bool, list ...*nettest.Backend) {
	p.t.Helper()
	verb := map[bool]string{true: "add", false: "del"}[off]
	for _, b := range list {
		p.run(b.Namespace, fmt.Sprintf("ip route %s blackhole %s/32", verb, g.Int.V4))
	}
}

// TestF11PingItems: an item fails when all its hosts do. What fails for both
// gateways moves nothing, neither when it begins nor when it ends.
func TestF11PingItems(t *testing.T) {
	t.Run("one of three", func(t *testing.T) {
		p := share(t, pinged)
		p.mute(p.a, true, p.Backends[0])
		t.Cleanup(func() { p.mute(p.a, false, p.Backends[0]) })
		p.eventually("the host counts as silent", func() error { return p.a.pingIs(1, 0, false) })
		p.advertises(p.a, 10)
		p.want("active", "backup")
		p.wantNoAlarms(p.each...)
		p.wantChanges(p.a)
	})
	t.Run("all three", func(t *testing.T) {
		p := share(t, pinged)
		p.mute(p.a, true, p.Backends...)
		p.want("backup", "active")
		p.wantAlarm(p.a, "ping")
		p.mute(p.a, false, p.Backends...)
		p.wantNoAlarms(p.each...)
		p.want("backup", "active")
		p.serves()
		p.wantChanges(p.a, "active>backup handed_over")
		p.wantChanges(p.b, "backup>active peer_worse|role_free")
	})
	t.Run("common outage", func(t *testing.T) {
		p := share(t, pinged)
		for range 2 {
			for _, b := range p.Backends {
				must(t, b.SetSysctl("net/ipv4/icmp_echo_ignore_all", "1"))
			}
			p.wantAlarm(p.a, "ping")
			p.wantAlarm(p.b, "ping")
			p.advertises(p.a, 10)
			p.want("active", "backup")
			p.serves()
			for _, b := range p.Backends {
				must(t, b.SetSysctl("net/ipv4/icmp_echo_ignore_all", "0"))
			}
			p.wantNoAlarms(p.each...)
		}
		p.wantChanges(p.a)
		p.wantChanges(p.b)
	})
}

// pingIs says why a host of an item does not stand as wanted.
func (g *gateway) pingIs(item, host int, ok bool) error {
	c, err := g.cluster()
	if err != nil {
		return err
	}
	if len(c.Pings) <= item || len(c.Pings[item].Hosts) <= host {
		return fmt.Errorf("%s shows %+v", g.Label, c.Pings)
	}
	if c.Pings[item].Hosts[host].OK != ok {
		return fmt.Errorf("%s has it as answering %v", g.Label, !ok)
	}
	return nil
}
