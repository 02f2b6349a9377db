package health

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// two are a node with several addresses of each family and a backend.
func two(t *testing.T) (node *nettest.Namespace, backend map[string]*nettest.Server) {
	t.Helper()
	node, far := nettest.ForTest(t), nettest.ForTest(t)
	must(t, nettest.Veth(node, "eth0", far, "eth0"))
	for _, p := range []string{"10.0.0.1/24", "10.0.0.3/32", "fd00::1/64", "fd00:1::3/128"} {
		must(t, node.AddAddr("eth0", netip.MustParsePrefix(p)))
	}
	must(t, far.AddAddr("eth0", netip.MustParsePrefix("10.0.0.11/24")))
	must(t, far.AddAddr("eth0", netip.MustParsePrefix("fd00::11/64")))
	must(t, far.SetRoute(netip.MustParsePrefix("fd00:1::/64"), netip.MustParseAddr("fd00::1")))
	settled(t, node, far)
	backend = make(map[string]*nettest.Server)
	for _, a := range []string{"10.0.0.11:22", "[fd00::11]:22"} {
		backend[a] = nettest.ServeForTest(t, far, netip.MustParseAddrPort(a), nettest.ServerOptions{Banner: "SSH-2.0-x\r\n"})
	}
	return node, backend
}

// settled waits until links and addresses can be used.
func settled(t *testing.T, namespaces ...*nettest.Namespace) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for _, n := range namespaces {
		must(t, n.Settled(ctx))
	}
}

func TestDialChoosesSource(t *testing.T) {
	node, _ := two(t)
	vip4, vip6 := netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("fd00:1::3")
	away4, away6 := netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("fd00::4")
	tests := []struct {
		name    string
		sources []netip.Addr
		want    [2]string // IPv4, IPv6
	}{
		{"none given", nil, [2]string{"10.0.0.1", "fd00::1"}},
		{"held by this node", []netip.Addr{vip4, vip6}, [2]string{"10.0.0.3", "fd00:1::3"}},
		{"held by another gateway", []netip.Addr{away4, away6}, [2]string{"10.0.0.1", "fd00::1"}},
		{"the first that is held", []netip.Addr{away6, away4, vip6, vip4}, [2]string{"10.0.0.3", "fd00:1::3"}},
		{"of the other family", []netip.Addr{vip6}, [2]string{"10.0.0.1", "fd00:1::3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i, at := range []string{"10.0.0.11:22", "[fd00::11]:22"} {
				target := direct(netip.MustParseAddrPort(at), Settings{})
				target.Sources = test.sources
				var out Outcome
				must(t, node.Do(func() error { out = Probe(t.Context(), target); return nil }))
				if out.Err != nil || out.Source.String() != test.want[i] {
					t.Errorf("%s: dialled from %s (%v), want %s", at, out.Source, out.Err, test.want[i])
				}
			}
		})
	}
}

// A check of this node itself proves that packets for the VIP end here, by an
// address or by a route; one that goes to another node proves nothing.
func TestDialLocal(t *testing.T) {
	node, _ := two(t)
	must(t, node.Up("lo"))
	for _, everywhere := range []string{"0.0.0.0:22", "[::]:22"} {
		nettest.ServeForTest(t, node, netip.MustParseAddrPort(everywhere), nettest.ServerOptions{Banner: "SSH-2.0-own\r\n"})
	}
	for vip, route := range map[string]bool{"10.0.0.3:22": false, "10.0.0.77:22": true, "[fd00:1::3]:22": false, "[fd00::77]:22": true} {
		at := netip.MustParseAddrPort(vip)
		target := direct(at, Settings{})
		target.Local = true
		probe := func() (out Outcome) {
			must(t, node.Do(func() error { out = Probe(t.Context(), target); return nil }))
			return out
		}
		if route {
			if out := probe(); out.Err == nil || !strings.Contains(out.Err.Error(), "does not end on this node") {
				t.Errorf("%s, which is nowhere: %v", vip, out.Err)
			}
			bits := at.Addr().BitLen()
			must(t, node.Do(func() error {
				return netlink.RouteAdd(&netlink.Route{
					LinkIndex: 1, Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST,
					Dst: &net.IPNet{IP: at.Addr().AsSlice(), Mask: net.CIDRMask(bits, bits)},
				})
			}))
		}
		if out := probe(); out.Err != nil || out.Identification != "SSH-2.0-own" {
			t.Errorf("%s: %q, %v", vip, out.Identification, out.Err)
		}
	}
	// Of another machine: it answers, and is not this node.
	target := direct(netip.MustParseAddrPort("10.0.0.11:22"), Settings{})
	target.Local = true
	must(t, node.Do(func() error {
		if out := Probe(t.Context(), target); out.Err == nil {
			t.Error("another machine passes for this node")
		}
		return nil
	}))
}

// A port of the source is not used up by a check: of four, each is open towards
// two backends at a time.
func TestDialSharesPorts(t *testing.T) {
	node, _ := two(t)
	must(t, node.SetSysctl("net/ipv4/ip_local_port_range", "40000 40003"))
	must(t, node.AddAddr("lo", netip.MustParsePrefix("10.0.0.99/32")))
	must(t, node.AddAddr("lo", netip.MustParsePrefix("fd00::99/128")))
	sources := map[string]string{
		"10.0.0.11:22": "10.0.0.3", "10.0.0.99:22": "10.0.0.3", "[fd00::11]:22": "fd00:1::3", "[fd00::99]:22": "fd00:1::3",
	}
	settled(t, node)
	for _, at := range []string{"10.0.0.99:22", "[fd00::99]:22"} {
		nettest.ServeForTest(t, node, netip.MustParseAddrPort(at), nettest.ServerOptions{})
	}
	for at, source := range sources {
		for range 4 {
			must(t, node.Do(func() error {
				c, err := dialFrom(t.Context(), netip.MustParseAddrPort(at), netip.MustParseAddr(source), "")
				if err == nil {
					t.Cleanup(func() { c.Close() })
				}
				return err
			}))
		}
	}
}

func TestSourceTowards(t *testing.T) {
	node, _ := two(t)
	must(t, node.SetRoute(netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.0.0.11")))
	for to, want := range map[string]string{"10.0.0.11:22": "10.0.0.1", "10.9.1.1:22": "10.0.0.1", "[fd00::11]:22": "fd00::1"} {
		must(t, node.Do(func() error {
			got, err := sourceTowards(towards(to))
			if err == nil && got.String() != want {
				t.Errorf("source towards %s = %s, want %s", to, got, want)
			}
			return err
		}))
	}
	must(t, node.Do(func() error {
		if got, err := sourceTowards(towards("172.16.0.1:22")); err == nil {
			t.Errorf("source without a route = %s, want an error", got)
		}
		return nil
	}))
}

// towards is a target whose family is that of its backend.
func towards(backend string) Target {
	at := netip.MustParseAddrPort(backend)
	return Target{Backend: at, Dial: at}
}

// Where only the outer header is of the backend's family, the probe inside comes
// from an address of the VIP's on the way there, and else from any.
func TestSourceOfTheOtherFamily(t *testing.T) {
	node, _ := two(t)
	six, four := netip.MustParseAddrPort("[fd2e:71c5:94a8::5]:22"), netip.MustParseAddrPort("198.19.192.5:22")
	must(t, node.Do(func() error {
		got, err := sourceTowards(Target{Backend: netip.MustParseAddrPort("10.0.0.11:22"), Dial: six})
		if err != nil || !netip.MustParsePrefix("fd00::/31").Contains(got) {
			t.Errorf("towards IPv4 inside IPv6: %s, %v", got, err)
		}
		got, err = sourceTowards(Target{Backend: netip.MustParseAddrPort("[fd00::11]:22"), Dial: four, Avoid: []netip.Addr{netip.MustParseAddr("10.0.0.3")}})
		if err != nil || got != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("towards IPv6 inside IPv4: %s, %v", got, err)
		}
		return nil
	}))
	must(t, node.AddAddr("lo", netip.MustParsePrefix("192.0.2.77/32")))
	must(t, node.Do(func() error {
		to := Target{Backend: netip.MustParseAddrPort("[fd00::11]:22"), Dial: four, Avoid: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.3")}}
		if got, err := sourceTowards(to); err != nil || got != netip.MustParseAddr("192.0.2.77") {
			t.Errorf("from another interface: %s, %v", got, err)
		}
		to.Avoid = append(to.Avoid, netip.MustParseAddr("192.0.2.77"))
		if got, err := sourceTowards(to); err == nil {
			t.Errorf("source = %s although this node has no other of the family", got)
		}
		return nil
	}))
}

func TestDialLinkWithoutLink(t *testing.T) {
	node, _ := two(t)
	target := direct(netip.MustParseAddrPort("10.0.0.11:22"), Settings{Timeout: 500 * time.Millisecond})
	target.Dial = netip.MustParseAddrPort("198.19.192.1:22")
	must(t, node.Do(func() error {
		out := Probe(context.WithoutCancel(t.Context()), target)
		if out.Err == nil || out.Err.Error() != `interface "sluice-chk0" is gone; restart sluice to make it again` {
			t.Errorf("error = %v, want one that names the interface", out.Err)
		}
		return nil
	}))
}

func TestSourceAvoidsVIPs(t *testing.T) {
	node, _ := two(t)
	// The kernel takes what has most bits in common with the destination.
	vip := netip.MustParseAddr("fd00::13")
	must(t, node.AddAddr("eth0", netip.PrefixFrom(vip, 128)))
	settled(t, node)
	to := towards("[fd00::11]:22")
	must(t, node.Do(func() error {
		if got, err := sourceTowards(to); got != vip {
			t.Errorf("source = %s, %v; the test wants one where it is the VIP", got, err)
		}
		to.Avoid = []netip.Addr{vip}
		for _, want := range []string{"fd00::1", "fd00:1::3"} {
			got, err := sourceTowards(to)
			if err != nil || got == vip || !netip.MustParsePrefix("fd00::/31").Contains(got) {
				t.Errorf("source = %s, %v; want one like %s", got, err, want)
			}
			to.Avoid = append(to.Avoid, got)
		}
		if got, err := sourceTowards(to); err == nil {
			t.Errorf("source = %s although all are to be avoided", got)
		}
		return nil
	}))
}
