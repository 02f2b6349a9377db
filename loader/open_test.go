package loader_test

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/nettest"
	"sluice/loader"
)

// snapshot is all that the maps say of a node.
type snapshot struct {
	Services        map[loader.ServiceID]loader.Service
	Published       map[loader.ServiceID]bool
	Members         map[loader.MemberID]loader.Member
	NextHops        map[loader.NextHopID]loader.NextHop
	Rings           map[loader.ServiceID]uint32 // checksums
	MemberCounters  map[loader.MemberID]loader.MemberCounters
	ServiceCounters map[loader.ServiceID]loader.ServiceCounters
	Drops           []loader.DropCounter
	Hosts           map[loader.MemberID]uint32
	Owners          map[netip.Addr]uint32
	Answers         map[netip.AddrPort]uint32
	VIPs            map[netip.Addr]uint32
	Egress          map[uint32]uint32
	Flows           int
}

func take(t *testing.T, dp *loader.Dataplane) (s snapshot) {
	t.Helper()
	var err error
	s.Services, err = dp.Services()
	must(t, err)
	s.Members, err = dp.Members()
	must(t, err)
	s.NextHops, err = dp.NextHops()
	must(t, err)
	s.Published = map[loader.ServiceID]bool{}
	s.Rings = map[loader.ServiceID]uint32{}
	for id := range s.Services {
		s.Published[id] = dp.Published(id)
		ring, err := dp.Ring(id)
		must(t, err)
		words := make([]byte, 0, 4*loader.RingEntries)
		for i := range loader.RingEntries {
			words = binary.LittleEndian.AppendUint32(words, uint32(ring.Get(i)))
		}
		s.Rings[id] = crc32.ChecksumIEEE(words)
	}
	s.MemberCounters, err = dp.MemberCounters()
	must(t, err)
	s.ServiceCounters, err = dp.ServiceCounters()
	must(t, err)
	s.Drops, err = dp.Drops()
	must(t, err)
	s.Hosts, s.Owners = dp.Indexes()
	s.Answers, s.VIPs, s.Egress = dp.Hosts(), dp.VIPs(), dp.Egress()
	must(t, dp.Scan(t.Context(), func(loader.Flow) bool { s.Flows++; return true }))
	return s
}

// same fails the test unless two snapshots are equal.
func same(t *testing.T, want, got snapshot) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})); diff != "" {
		t.Errorf("what the maps hold differs (-before +after):\n%s", diff)
	}
}

// putMore adds what the gateway's one service does not have: a service that is
// not published, one without members, members that share a host, a hop on a
// VLAN.
func putMore(t *testing.T, g *gateway) {
	t.Helper()
	second := loader.Service{
		Listen: netip.MustParseAddrPort("[2001:db8:1::3]:2022"), Mode: loader.ModeNAT,
		Pool: []netip.Addr{netip.MustParseAddr("2001:db8:1::4"), netip.MustParseAddr("2001:db8:1::5")},
	}
	must(t, g.dp.PutService(7, second))
	must(t, g.dp.PutService(9, loader.Service{Listen: netip.MustParseAddrPort("192.0.2.3:2022"), Mode: loader.ModeSSHD}))
	must(t, g.dp.Publish(9))
	must(t, g.dp.PutService(11, loader.Service{Listen: netip.MustParseAddrPort("192.0.2.3:80"), Mode: loader.ModeNAT, KeepClient: true, Removed: true}))
	must(t, g.dp.PutNextHop(200, loader.NextHop{
		Interface: 4000, VLAN: 17, MTU: 9000,
		Source: net.HardwareAddr{2, 1, 2, 3, 4, 5}, Destination: net.HardwareAddr{2, 9, 8, 7, 6, 5},
	}))
	at := netip.MustParseAddrPort("[2001:db8:2::11]:22")
	must(t, g.dp.PutMember(300, loader.Member{Service: 7, Addr: at, NextHop: 200}))
	must(t, g.dp.PutMember(301, loader.Member{Service: 11, Addr: netip.MustParseAddrPort("10.0.0.11:22")}))
	ring, err := g.dp.Ring(7)
	must(t, err)
	ring.Set(0, 300)
	ring.Set(loader.RingEntries-1, 300)
}

// A process that takes over finds everything as the last one left it, and the
// connections do not notice.
func TestOpenAdopts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, g *gateway){
		"after close": func(t *testing.T, g *gateway) { must(t, g.dp.Close()) },
		"after a crash": func(t *testing.T, g *gateway) {
			must(t, g.dp.Close())
			other := otherProcess(t, g.GW, g.opts)
			if !other.opened() {
				t.Fatal(other.said)
			}
			other.kill(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, shapes()["hide v4"])
			putMore(t, g)
			old, _ := g.dial(t)
			before := take(t, g.dp)
			if before.Flows != 1 || before.MemberCounters[1].PacketsIn+before.MemberCounters[2].PacketsIn+before.MemberCounters[3].PacketsIn == 0 {
				t.Fatalf("the connection left no trace: %+v", before)
			}
			end(t, g)
			g.open(t)
			same(t, before, take(t, g.dp))
			echo(t, old, 10_000)
			fresh, _ := g.dial(t)
			echo(t, fresh, 10_000)
			// What was adopted can be changed: a VIP keeps its owner word, a
			// host its id.
			must(t, g.dp.PutService(8, loader.Service{Listen: netip.MustParseAddrPort("192.0.2.3:8022"), Mode: loader.ModeNAT}))
			must(t, g.dp.PutMember(400, loader.Member{Service: 8, Addr: netip.MustParseAddrPort("10.0.0.11:22")}))
			hosts, owners := g.dp.Indexes()
			if len(owners) != len(before.Owners) || hosts[400] != before.Hosts[301] {
				t.Errorf("after adoption the owner words are %v, the hosts %v", owners, hosts)
			}
		})
	}
}

// The dataplane works while no process holds it.
func TestConnectionsWhileNobodyIsThere(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v6"])
	old, _ := g.dial(t)
	must(t, g.dp.Close())
	other := otherProcess(t, g.GW, g.opts)
	if !other.opened() {
		t.Fatal(other.said)
	}
	echo(t, old, 10_000)
	other.kill(t)
	echo(t, old, 10_000)
	fresh, _ := g.dial(t)
	echo(t, fresh, 10_000)
	g.open(t)
	echo(t, old, 10_000)
	echo(t, fresh, 10_000)
}

// Maps made for something else are refused, still run, and can be got rid of.
func TestOpenRefusesOtherMaps(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	must(t, dp.PutService(testService, shapes()["dsr v4"]))
	before := take(t, dp)
	must(t, dp.Close())

	otherKey := o
	otherKey.Key[0]++
	_, err := tryOpen(t, n, otherKey)
	wantError(t, err, "another cluster key", "put that key back", "sluice detach")
	otherSize := o
	otherSize.MaxFlows *= 2
	_, err = tryOpen(t, n, otherSize)
	wantError(t, err, o.Dir, "max_flows", "sluice detach")

	dp = openIn(t, n, o)
	same(t, before, take(t, dp))
	must(t, dp.Close())
	_, err = loader.Detach(o.Dir)
	must(t, err)
	otherSize.Key[0]++
	dp = openIn(t, n, otherSize)
	if services, err := dp.Services(); err != nil || len(services) != 0 {
		t.Errorf("new maps hold services %v (%v)", services, err)
	}
}

// An Open that fails leaves nothing where nothing was.
func TestFailedOpenLeavesNothing(t *testing.T) {
	t.Parallel()
	n, peer := pair(t, "a", "b")
	foreign(t, n, "b")
	tests := map[string]struct {
		second string
		want   []string
	}{
		"no such interface":    {"missing0", []string{"missing0", "dataplane.interfaces"}},
		"program of another's": {"b", []string{`"b"`, "another XDP program", `"pass"`, "take that off first"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Interfaces = []string{"a", tt.second}
			_, err := tryOpen(t, n, o)
			wantError(t, err, tt.want...)
			absent(t, o.Dir)
			if p := program(t, n, "a"); p != 0 {
				t.Errorf("program %d is left on the first interface", p)
			}
			if p := program(t, n, "b"); p == 0 {
				t.Error("the other's program is gone")
			}
		})
	}
	reaches(t, peer, n)
}

// An Open that fails leaves what ran before running.
func TestFailedOpenKeepsWhatRan(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["dsr v4"])
	putMore(t, g)
	old, _ := g.dial(t)
	before := take(t, g.dp)
	must(t, g.dp.Close())

	must(t, g.GW.Bridge("br0"))
	for name, change := range map[string]func(*loader.Options){
		"no such interface": func(o *loader.Options) { o.Interfaces = append(o.Interfaces, "missing0") },
		// br0 is attached and taken off again.
		"one fresh": func(o *loader.Options) {
			o.Interfaces = append([]string{"br0"}, append(o.Interfaces, "missing0")...)
			o.XDP = loader.XDPAuto
		},
		"other key": func(o *loader.Options) { o.Key[5]++ },
	} {
		o := g.opts
		change(&o)
		if _, err := tryOpen(t, g.GW, o); err == nil {
			t.Fatalf("%s: no error", name)
		}
		echo(t, old, 1000)
		if p := program(t, g.GW, "br0"); p != 0 {
			t.Errorf("%s: program %d is left on br0", name, p)
		}
	}
	fresh, _ := g.dial(t)
	echo(t, fresh, 1000)
	must(t, fresh.Close())
	g.open(t)
	after := take(t, g.dp)
	after.MemberCounters, after.ServiceCounters, after.Flows = before.MemberCounters, before.ServiceCounters, before.Flows
	same(t, before, after)
	echo(t, old, 1000)
}

// After Detach nothing of ours is left, and packets go as if it never was.
func TestDetach(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v4"])
	c, _ := g.dial(t)
	must(t, g.dp.Close())
	removed, err := loader.Detach(g.opts.Dir)
	must(t, err)
	if len(removed) < 4 || removed[len(removed)-1] != g.opts.Dir {
		t.Errorf("removed %q; want the links, the layout and the folder", removed)
	}
	for _, name := range g.opts.Interfaces {
		if p := program(t, g.GW, name); p != 0 {
			t.Errorf("interface %s still carries program %d", name, p)
		}
	}
	absent(t, g.opts.Dir)

	// The VIP is the gateway's own, where nobody listens; the backends are
	// behind it as behind any router.
	conn, err := g.Client.Dial(t.Context(), g.listen)
	wantError(t, err, "refused")
	if conn != nil {
		conn.Close()
	}
	b := g.Backends[0]
	direct, err := g.Client.Dial(t.Context(), netip.AddrPortFrom(b.Addr.V4, testPort))
	must(t, err)
	defer direct.Close()
	banner := make([]byte, bannerLen)
	must(t, direct.SetDeadline(time.Now().Add(patience)))
	_, err = direct.Read(banner)
	must(t, err)
	echo(t, direct, 10_000)
	if _, err := c.Write([]byte("x")); err == nil {
		_, err = c.Read(banner)
		if err == nil || os.IsTimeout(err) {
			t.Errorf("a connection through the VIP went on: %v", err)
		}
	}
	if removed, err := loader.Detach(g.opts.Dir); err != nil || removed != nil {
		t.Errorf("a second Detach removed %v (%v)", removed, err)
	}
	g.open(t)
	if services, err := g.dp.Services(); err != nil || len(services) != 0 {
		t.Errorf("new maps hold services %v (%v)", services, err)
	}
}

// reaches fails the test unless a can open a connection to b.
func reaches(t *testing.T, a, b *nettest.Namespace) {
	t.Helper()
	s := nettest.ServeForTest(t, b, netip.MustParseAddrPort("198.51.100.1:22"), nettest.ServerOptions{Banner: "x"})
	conns, err := nettest.OpenConns(t.Context(), a, s.Addr(), 1)
	must(t, err)
	must(t, conns.Close())
}
