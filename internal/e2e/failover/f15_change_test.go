package failover

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sluice/internal/nettest"
)

// signed are settings with proof of adverts. Keys are by id and file.
func signed(dir, mode string, send int, ids ...int) string {
	var keys []string
	for _, id := range ids {
		keys = append(keys, fmt.Sprintf("{id: %d, file: %s}", id, filepath.Join(dir, fmt.Sprintf("key.%d", id))))
	}
	return with(plain, "    vrid: 51\n", fmt.Sprintf("    vrid: 51\n    auth: {mode: %s, send: %d, keys: [%s]}\n", mode, send, strings.Join(keys, ", ")))
}

// TestF15KeyRotation goes through the modes and to another key, one gateway after
// the other, as an administrator does. The role stays where it is, its word open.
func TestF15KeyRotation(t *testing.T) {
	p := share(t, plain)
	refused := p.b.segment(nettest.OutsideLink).Refused
	dir := t.TempDir()
	for _, id := range []int{1, 2} {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("key.%d", id)), []byte(strings.Repeat(fmt.Sprint(id), 40)+"\n"), 0o600))
	}
	for _, step := range []struct {
		name, settings string
	}{
		{"receive_only", signed(dir, "receive_only", 1, 1)},
		{"permissive", signed(dir, "permissive", 1, 1)},
		{"enforce", signed(dir, "enforce", 1, 1)},
		{"the new key is known", signed(dir, "enforce", 1, 1, 2)},
		{"the new key is used", signed(dir, "enforce", 2, 1, 2)},
		{"the old key is gone", signed(dir, "enforce", 2, 2)},
	} {
		p.settings, p.running = step.settings, step.settings
		for _, g := range []*gateway{p.b, p.a} {
			g.apply()
			before := p.b.segment(nettest.OutsideLink)
			p.eventually("adverts go on to be taken after "+step.name, func() error {
				now := p.b.segment(nettest.OutsideLink)
				if now.AdvertsIn < before.AdvertsIn+5 {
					return fmt.Errorf("%d so far, refused %v", now.AdvertsIn-before.AdvertsIn, now.Refused)
				}
				return nil
			})
			if got := p.b.segment(nettest.OutsideLink).Refused; !maps.Equal(got, refused) {
				t.Errorf("after %s on %s: refused %v, before %v", step.name, g.Label, got, refused)
			}
		}
	}
	p.wantChanges(p.a)
	p.wantChanges(p.b)
	if n := p.watch.closings(p.a, p.VIP.V4); n > 0 {
		t.Errorf("the word of the VIP was closed %d times", n)
	}

	// That enforce means it: what is not signed is counted and moves nothing.
	stop := p.shower(forged{vrid: 51, priority: 255, ttl: 255})
	p.eventually("unsigned adverts are refused", func() error { return p.counted("missing_trailer", 10) })
	stop()
	p.want("active", "backup")
	p.serves()
}

// TestF16Busy: other processes that want all of the processors do not make the
// daemons late enough to matter.
func TestF16Busy(t *testing.T) {
	p := share(t, pinged)
	for range 6 {
		busy := p.Client.Command(t.Context(), "sh", "-c", "while :; do :; done")
		must(t, busy.Start())
		t.Cleanup(func() {
			_ = busy.Process.Kill()
			_ = busy.Wait() // killed
		})
	}
	p.advertises(p.a, 25)
	p.want("active", "backup")
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}

// TestF18ByHand: what somebody takes away is put back, and what he puts where it
// must not be is taken away.
func TestF18ByHand(t *testing.T) {
	p := share(t, pinged)
	macvlan := p.macvlan(p.a, p.VIP.V4)
	p.run(p.a.Namespace, "ip addr del 192.0.2.3/32 dev "+macvlan)
	p.repaired()
	p.run(p.a.Namespace, "ip link set "+macvlan+" down")
	p.repaired()
	p.run(p.a.Namespace, "ip link del "+macvlan)
	p.repaired()

	at := p.macvlan(p.b, p.VIP.V4)
	p.run(p.b.Namespace, "ip link set "+at+" up")
	p.run(p.b.Namespace, "ip addr add 192.0.2.3/32 dev "+at)
	p.gone(p.b)
	p.eventually("it is down again", func() error {
		if out := p.run(p.b.Namespace, "ip -o link show dev "+at); strings.Contains(out, ",UP") {
			return errors.New(out)
		}
		return nil
	})
	// What lies on the physical interface is somebody else's, who is not answered.
	p.run(p.b.Namespace, "ip addr add 192.0.2.3/32 dev "+nettest.OutsideLink)
	for range 3 {
		p.run(p.Client, "ip neigh flush dev "+nettest.HostLink)
		p.serves()
		if got := p.neighbour(p.VIP.V4); got != p.mac(p.a) {
			t.Errorf("the client has %s as the VIP's MAC, want %s", got, p.mac(p.a))
		}
	}
	p.run(p.b.Namespace, "ip addr del 192.0.2.3/32 dev "+nettest.OutsideLink)
	p.want("active", "backup")
	p.serves()
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}

// TestF18Renamed: a physical interface that has another name is one that is not
// there, until it is called as before.
func TestF18Renamed(t *testing.T) {
	p := share(t, pinged)
	rename := func(from, to string) { p.run(p.a.Namespace, "ip link set "+from+" name "+to) }
	rename(nettest.InsideLink, "away0")
	back := sync.OnceFunc(func() { rename("away0", nettest.InsideLink) })
	t.Cleanup(back)
	p.wantAlarm(p.a, "link")
	p.want("backup", "active")
	// By its name, and not because no advert can be sent.
	p.eventually("gw-a knows that it is not there", func() error { return p.a.linkIs(nettest.InsideLink, false) })
	p.gone(p.a)
	p.serves()
	back()
	p.eventually("gw-a knows that it is back", func() error { return p.a.linkIs(nettest.InsideLink, true) })
	p.wantNoAlarms(p.each...)
	_, err := p.a.try("vip", "swap", "--all")
	must(t, err)
	p.want("active", "backup")
	p.serves()
}

// macvlan is the interface that a gateway has the VIP on, or would.
func (p *pair) macvlan(g *gateway, _ netip.Addr) string {
	p.t.Helper()
	for _, line := range strings.Split(p.run(g.Namespace, "ip -o link show type macvlan"), "\n") {
		if name, parent, ok := strings.Cut(strings.TrimSpace(strings.SplitN(line+": ", ": ", 3)[1]), "@"); ok && parent == nettest.OutsideLink {
			return name
		}
	}
	p.t.Fatalf("%s has no macvlan on %s", g.Label, nettest.OutsideLink)
	return ""
}

// neighbour is the MAC that the client has for an address.
func (p *pair) neighbour(a netip.Addr) string {
	p.t.Helper()
	fields := strings.Fields(p.run(p.Client, "ip neigh show "+a.String()))
	for i, f := range fields {
		if f == "lladdr" && i+1 < len(fields) {
			return fields[i+1]
		}
	}
	return ""
}

// mac is the virtual one that a gateway shows.
func (p *pair) mac(g *gateway) string {
	p.t.Helper()
	c, err := g.cluster()
	must(p.t, err)
	return c.VIPs[0].MAC
}

// repaired waits until gw-a has both VIPs and the client an answer.
func (p *pair) repaired() {
	p.t.Helper()
	p.eventually("the VIPs are back", func() error {
		for _, v := range []netip.Addr{p.VIP.V4, p.InsideVIP.V4} {
			if !p.a.has(v) {
				return fmt.Errorf("%s is missing", v)
			}
		}
		return nil
	})
	p.serves()
}

// TestF19Reload: VIPs that old and new settings have lose nothing, the role stays,
// and that the gateways do not agree meanwhile is said.
func TestF19Reload(t *testing.T) {
	p := share(t, plain)
	more := with(plain, "192.0.2.3/24, interface: ext0}", "192.0.2.3/24, interface: ext0}, {addr: 192.0.2.9/24, interface: ext0}")
	third := netip.MustParseAddr("192.0.2.9")
	for _, step := range []struct {
		settings string
		has      bool
	}{{more, true}, {plain, false}} {
		p.settings, p.running = step.settings, step.settings
		p.a.apply()
		p.wantAlarm(p.b, "settings_differ")
		p.wantAlarm(p.a, "settings_differ")
		p.eventually("gw-a goes by it", func() error {
			if p.a.has(third) != step.has {
				return fmt.Errorf("that it has the third VIP is %v", !step.has)
			}
			return nil
		})
		p.b.apply()
		p.wantNoAlarms(p.each...)
		p.want("active", "backup")
		p.serves()
		if step.has {
			p.eventually("the third VIP answers", func() error { return p.pinged(p.Client, third) })
		}
	}
	if n := p.watch.closings(p.a, p.VIP.V4) + p.watch.closings(p.a, p.InsideVIP.V4); n > 0 {
		t.Errorf("words of VIPs that stayed were closed %d times", n)
	}
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}

// TestF20Preempt: the role goes back only where that is wanted, and only to a
// gateway that was well for long enough.
func TestF20Preempt(t *testing.T) {
	t.Run("off", func(t *testing.T) {
		p := share(t, pinged)
		must(t, p.a.CableOut(nettest.OutsideLink))
		p.want("backup", "active")
		must(t, p.a.Restore())
		p.wantNoAlarms(p.each...)
		p.advertises(p.b, 30)
		p.wantNoAlarms(p.each...) // nor asked for in vain
		p.want("backup", "active")
		p.wantChanges(p.b, "backup>active peer_worse|role_free")
	})
	t.Run("on", func(t *testing.T) {
		p := share(t, with(pinged, "    vrid: 51\n", "    vrid: 51\n    preempt: true\n    preempt_delay: 1s\n"))
		must(t, p.a.CableOut(nettest.OutsideLink))
		p.want("backup", "active")
		// It has the flows, so that it is the delay alone that it waits for; what it said
		// of them as the active one is soon forgotten.
		p.advertises(p.b, 20)
		p.eventually("gw-a is synced", func() error {
			c, err := p.b.cluster()
			if err != nil || len(c.Peers) == 0 || !c.Peers[0].Synced {
				return fmt.Errorf("gw-b hears of %+v (%v)", c.Peers, err)
			}
			return nil
		})
		// One that comes and goes is not well.
		for range 5 {
			must(t, p.a.Restore())
			p.wantNoAlarms(p.a)
			must(t, p.a.CableOut(nettest.OutsideLink))
			p.wantAlarm(p.a, "link")
		}
		p.wantChanges(p.b, "backup>active peer_worse|role_free")
		must(t, p.a.Restore())
		p.want("active", "backup")
		p.serves()
		p.wantChanges(p.a, "active>backup handed_over", "backup>active preempt|role_free")
		p.wantChanges(p.b, "backup>active peer_worse|role_free", "active>backup handed_over")
	})
}

// TestF21Unicast: a switch that loses multicast is noticed, and unicast adverts
// pass it.
func TestF21Unicast(t *testing.T) {
	p := share(t, plain)
	t.Cleanup(func() { p.multicast(true) })
	p.multicast(false)
	p.wantAlarm(p.b, "segment_split")
	p.want("active", "backup")
	p.wantChanges(p.a)

	p.settings = with(plain, "    vrid: 51\n", "    vrid: 51\n    unicast: true\n")
	p.running = p.settings
	p.b.apply()
	p.a.apply()
	p.oneActive()
	p.wantNoAlarms(p.each...)
	p.home()
	before := p.b.segment(nettest.OutsideLink).AdvertsIn
	p.eventually("adverts come", func() error {
		if n := p.b.segment(nettest.OutsideLink).AdvertsIn - before; n < 10 {
			return fmt.Errorf("%d did", n)
		}
		return nil
	})
	p.serves()
}

// multicast lets the switches pass adverts to the group, or eat them as one does
// that snoops and was not asked.
func (p *pair) multicast(passes bool) {
	p.t.Helper()
	for _, in := range []*nettest.Namespace{p.Ext, p.Int} {
		if passes {
			p.run(in, "nft delete table bridge snooping")
			continue
		}
		p.run(in, "nft add table bridge snooping")
		p.run(in, "nft add chain bridge snooping forward { type filter hook forward priority 0 ; }")
		p.run(in, "nft add rule bridge snooping forward ether daddr 01:00:5e:00:00:12 drop")
	}
}
