package address

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

func TestVirtualMAC(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.3": "00:00:5e:00:01:33", "::ffff:192.0.2.3": "00:00:5e:00:01:33", "2001:db8::3": "00:00:5e:00:02:33",
	} {
		if got := VirtualMAC(51, netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestMacvlanNames(t *testing.T) {
	seen := map[string]string{}
	for vrid := 1; vrid <= 255; vrid++ {
		for _, parent := range []string{"ext0", "int0", "eno12399np0.100"} {
			for _, vip := range vips {
				mac := VirtualMAC(uint8(vrid), vip)
				name, what := macvlanName(vrid, parent, mac), fmt.Sprint(vrid, parent, mac)
				if len(name) > 15 || seen[name] != "" || name != macvlanName(vrid, parent, mac) {
					t.Errorf("%q for %s, and for %q", name, what, seen[name])
				}
				seen[name] = what
				l := link{name: name, kind: "macvlan", alias: "sluice vip edge"}
				if cluster, ours := l.owner(); !ours || cluster != "edge" {
					t.Errorf("%q is not known as ours", name)
				}
			}
		}
	}
}

func TestOwner(t *testing.T) {
	for _, row := range []struct {
		l       link
		cluster string
		ours    bool
	}{
		{link{name: "vip51-0011aabb", kind: "macvlan", alias: "sluice vip a b"}, "a b", true},
		{link{name: "vip51-0011aabb", kind: "macvlan"}, "", true},
		{link{name: "vip51-0011aabb", kind: "dummy", alias: "sluice vip edge"}, "", false},
		{link{name: "vrrp.51", kind: "macvlan", alias: "sluice vip edge"}, "", false},
		{link{name: "vip51-0011aabb", kind: "macvlan", alias: "printer"}, "printer", false},
	} {
		if cluster, ours := row.l.owner(); ours != row.ours || ours && cluster != row.cluster {
			t.Errorf("%+v: %q, %v", row.l, cluster, ours)
		}
	}
}

func TestPlanFaults(t *testing.T) {
	mac := VirtualMAC(51, vip4.Addr())
	good := samplePlan().VIPs[0]
	with := func(change func(p *Plan)) Plan {
		p := samplePlan()
		change(&p)
		return p
	}
	for _, row := range []struct {
		plan Plan
		want string
	}{
		{samplePlan(), ""},
		{barePlan(), ""},
		{with(func(p *Plan) { p.Cluster = "" }), "1 to 244 bytes"},
		{with(func(p *Plan) { p.Cluster = strings.Repeat("x", 245) }), "1 to 244 bytes"},
		{with(func(p *Plan) { p.Cluster = "a\nb" }), "bytes of text"},
		{with(func(p *Plan) { p.VRID = 256 }), "VRID 256"},
		{with(func(p *Plan) { p.VRID = 0 }), "VRID 0"},
		{with(func(p *Plan) { p.Lease = -1 }), "lease of -1ns"},
		{with(func(p *Plan) { p.VIPs[0].Addr = netip.Prefix{} }), "not an IPv4 or IPv6 prefix"},
		{with(func(p *Plan) { p.VIPs[0].Addr = netip.MustParsePrefix("::ffff:192.0.2.3/128") }), "not an IPv4 or IPv6 prefix"},
		{with(func(p *Plan) { p.VIPs[0].Addr = netip.MustParsePrefix("224.0.0.18/32") }), "cannot be an interface's"},
		{with(func(p *Plan) { p.VIPs[0].Addr = netip.MustParsePrefix("127.0.0.1/8") }), "cannot be an interface's"},
		{with(func(p *Plan) { p.VIPs[0].Addr = netip.MustParsePrefix("::/0") }), "cannot be an interface's"},
		{with(func(p *Plan) { p.VIPs[0].Interface = "" }), "interface's name"},
		{with(func(p *Plan) { p.VIPs[0].Interface = "../../x" }), "interface's name"},
		{with(func(p *Plan) { p.VIPs[0].Interface = strings.Repeat("e", 16) }), "interface's name"},
		{with(func(p *Plan) { p.VIPs[0].MAC = net.HardwareAddr{1, 0, 0x5e, 0, 1, 51} }), "one Ethernet card"},
		{with(func(p *Plan) { p.VIPs[0].MAC = net.HardwareAddr{} }), "one Ethernet card"},
		{with(func(p *Plan) { p.VIPs[0].MAC = make(net.HardwareAddr, 6) }), "one Ethernet card"},
		{with(func(p *Plan) { p.VIPs = append(p.VIPs, good) }), "there twice"},
		{with(func(p *Plan) { p.VIPs = append(p.VIPs, VIP{good.Addr, inside, mac}) }), "there twice"},
		{with(func(p *Plan) {
			p.VIPs = []VIP{{netip.MustParsePrefix("fe80::3/64"), outside, mac}, {netip.MustParsePrefix("fe80::3/64"), inside, mac}}
		}), ""},
	} {
		err := row.plan.check()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%+v: %v, want %q", row.plan, err, row.want)
		}
	}
}

func TestLeaseIsWholeSeconds(t *testing.T) {
	for lease, want := range map[time.Duration]uint32{0: forever, 1: 1, time.Second: 1, time.Second + 1: 2, 2 * time.Second: 2} {
		if got := (&Plan{Lease: lease}).seconds(); got != want {
			t.Errorf("%v: %d s, want %d", lease, got, want)
		}
	}
}

// What cannot be is refused before anything is touched.
func TestPrepareRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		change func(t *testing.T, n *nettest.Namespace, p *Plan)
		want   string
	}{
		"no such interface": {func(_ *testing.T, _ *nettest.Namespace, p *Plan) { p.VIPs[1].Interface = "ext9" }, `interface "ext9" does not exist`},
		"own address": {func(_ *testing.T, _ *nettest.Namespace, p *Plan) {
			p.VIPs[1].Addr = netip.MustParsePrefix("2001:db8::1/64")
		}, `VIP 2001:db8::1 on "ext0" is an address of "ext0" itself`},
		"own address of another interface": {func(_ *testing.T, _ *nettest.Namespace, p *Plan) {
			p.VIPs[1].Addr = netip.MustParsePrefix("10.0.0.1/24")
		}, `is an address of "int0" itself`},
		"own single address": {func(t *testing.T, n *nettest.Namespace, p *Plan) {
			must(t, n.AddAddr(outside, single(vip6.Addr()))) // noprefixroute, as ours
		}, `is an address of "ext0" itself`},
		"another's interface": {func(t *testing.T, n *nettest.Namespace, p *Plan) {
			name := macvlanName(51, outside, VirtualMAC(51, vip6.Addr()))
			must(t, n.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}))
		}, "ip link delete vip51-"},
	} {
		t.Run(name, func(t *testing.T) {
			n := gateway(t)
			plan := samplePlan()
			row.change(t, n, &plan)
			before := see(t, n)
			s := keep(t, n, plan)
			err := n.Do(s.Prepare)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("Prepare: %v, want %q", err, row.want)
			}
			wantSame(t, before, see(t, n))
			if got, err := n.Sysctl("net/ipv4/conf/ext0/arp_ignore"); err != nil || got != "0" {
				t.Errorf("arp_ignore is %s, %v", got, err)
			}
		})
	}
}

// A VIP on lo is no obstacle: servers of one-way modes have it there.
func TestVIPOnLoopback(t *testing.T) {
	n := gateway(t)
	must(t, n.AddAddr("lo", single(vip4.Addr())))
	s := keep(t, n, samplePlan())
	s.do(s.Prepare, s.Take, s.Release)
	if sc := see(t, n); !sc.has(1, vip4.Addr()) {
		t.Error("the address of lo is gone")
	}
}

// Where an interface cannot have a macvlan the way out is named: a bridge's port
// has another receiver already.
func TestMacvlanRefused(t *testing.T) {
	n := gateway(t)
	must(t, n.Bridge("br0"))
	must(t, n.Plug("br0", inside))
	s := keep(t, n, Plan{Cluster: "edge", VRID: 51, VIPs: []VIP{{netip.MustParsePrefix("10.0.0.3/24"), inside, VirtualMAC(51, vip4.Addr())}}})
	err := n.Do(s.Prepare)
	if err == nil || !strings.Contains(err.Error(), `virtual_mac: off`) || !strings.Contains(err.Error(), `"int0"`) {
		t.Errorf("Prepare: %v", err)
	}
}

// What carries Ethernet is an interface like any other, a macvlan included: a
// container may have nothing else.
func TestParents(t *testing.T) {
	n := gateway(t)
	must(t, n.Netlink().LinkAdd(&netlink.Macvlan{
		LinkAttrs: netlink.LinkAttrs{Name: "eth0", ParentIndex: mustIndex(t, n, inside)}, Mode: netlink.MACVLAN_MODE_BRIDGE,
	}))
	must(t, n.Up("eth0"))
	must(t, n.Bridge("br0"))
	for _, parent := range []string{"eth0", "br0"} {
		plan := samplePlan()
		for i := range plan.VIPs {
			plan.VIPs[i].Interface = parent
		}
		s := keep(t, n, plan)
		s.do(s.Prepare, s.Take, s.Announce)
		if got := s.renew(); len(got) > 0 || !s.held() {
			t.Errorf("%s: held: %v; Renew repaired %q", parent, s.held(), got)
		}
		s.do(func() error { return s.Close(true) })
	}
}

// wantSame fails unless two scenes have the same interfaces and addresses, with
// the same states. What the kernel does with a new link-local address in its own
// time does not count.
func wantSame(t *testing.T, before, after *scene) {
	t.Helper()
	if a, b := before.String(), after.String(); a != b {
		t.Errorf("before\n%s\nafter\n%s", a, b)
	}
}

func (sc *scene) String() string {
	var b strings.Builder
	for _, l := range sc.links {
		fmt.Fprintf(&b, "%+v\n", l)
	}
	for _, a := range sc.addrs {
		fmt.Fprintf(&b, "%d %s flags %#x proto %d for ever %v\n", a.index, a.prefix, a.flags&^unix.IFA_F_TENTATIVE, a.proto, a.valid == forever)
	}
	return b.String()
}
