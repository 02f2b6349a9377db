package health

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/loader"
)

// fakeLink is the loader's side of the check link, without programs.
type fakeLink struct {
	attached []string
	index    int
	mac      string
	checks   map[netip.Addr]loader.MemberID
	err      error
}

func (f *fakeLink) AttachCheck(ours, stack string) error {
	f.attached = append(f.attached, ours+" "+stack)
	return f.err
}

func (f *fakeLink) SetCheckLink(index int, stack net.HardwareAddr) error {
	f.index, f.mac = index, stack.String()
	return nil
}

func (f *fakeLink) PutCheck(a netip.Addr, m loader.MemberID) error {
	if f.err == nil {
		f.checks[a] = m
	}
	return f.err
}

func (f *fakeLink) DeleteCheck(a netip.Addr) error { delete(f.checks, a); return nil }

func newFakeLink() *fakeLink { return &fakeLink{checks: make(map[netip.Addr]loader.MemberID)} }

// openIn opens the link in a namespace.
func openIn(ns *nettest.Namespace, dp LinkDataplane) (l *Link, err error) {
	err = ns.Do(func() error {
		l, err = OpenLink(dp)
		return err
	})
	return l, err
}

func TestLinkIsMadeAdoptedAndRemoved(t *testing.T) {
	ns := nettest.ForTest(t)
	must(t, ns.Do(RemoveLink)) // nothing there
	dp := newFakeLink()
	_, err := openIn(ns, dp)
	must(t, err)
	index, err := ns.Index(xdpEnd)
	must(t, err)
	if len(dp.attached) != 1 || dp.attached[0] != "sluice-chk1 sluice-chk0" || dp.index != index || dp.mac != stackMAC.String() {
		t.Errorf("the loader was told %+v, want interface %d", dp, index)
	}
	checkPair(t, ns)

	// A crash leaves the pair. What somebody changed meanwhile is put right.
	must(t, ns.Down(stackEnd))
	must(t, ns.SetMTU(xdpEnd, 1500))
	_, err = openIn(ns, dp)
	must(t, err)
	if now, err := ns.Index(xdpEnd); err != nil || now != index {
		t.Errorf("the pair was made again (interface %d, %v), want %d adopted", now, err, index)
	}
	checkPair(t, ns)

	must(t, ns.Do(RemoveLink))
	for _, name := range []string{stackEnd, xdpEnd} {
		if _, err := ns.Index(name); err == nil {
			t.Errorf("%s is left after RemoveLink", name)
		}
	}
}

// checkPair looks at what the kernel made of it.
func checkPair(t *testing.T, ns *nettest.Namespace) {
	t.Helper()
	for name, mac := range map[string]net.HardwareAddr{stackEnd: stackMAC, xdpEnd: xdpMAC} {
		link, err := ns.Netlink().LinkByName(name)
		must(t, err)
		a := link.Attrs()
		if a.HardwareAddr.String() != mac.String() || a.MTU != linkMTU || a.Flags&net.FlagUp == 0 || a.RawFlags&unix.IFF_NOARP == 0 {
			t.Errorf("%s = %+v", name, a)
		}
		addrs, err := ns.Netlink().AddrList(link, netlink.FAMILY_ALL)
		must(t, err)
		if own := map[string]int{stackEnd: 1, xdpEnd: 0}[name]; len(addrs) != own {
			t.Errorf("%s has addresses %v, want %d", name, addrs, own)
		}
	}
	if value, err := ns.Sysctl("net/ipv4/conf/" + stackEnd + "/rp_filter"); err != nil || value != "2" {
		t.Errorf("rp_filter = %q, %v; want 2", value, err)
	}
	for _, a := range []string{"198.19.192.1", "198.19.255.254", "fd2e:71c5:94a8::1", "fd2e:71c5:94a8::3fff"} {
		routes, err := ns.Netlink().RouteGet(net.ParseIP(a))
		must(t, err)
		if index, _ := ns.Index(stackEnd); routes[0].LinkIndex != index {
			t.Errorf("route to %s = %v, want it by %s", a, routes, stackEnd)
		}
	}
}

func TestCheckAddresses(t *testing.T) {
	ns := nettest.ForTest(t)
	dp := newFakeLink()
	l, err := openIn(ns, dp)
	must(t, err)
	v4, v6 := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3")
	seen := make(map[netip.Addr]loader.MemberID)
	for m := loader.MemberID(1); m < loader.MaxMembers; m++ {
		for _, vip := range []netip.Addr{v4, v6} {
			a, err := l.Add(m, vip)
			must(t, err)
			if other, twice := seen[a]; twice {
				t.Fatalf("address %s stands for members %d and %d", a, other, m)
			}
			seen[a] = m
			if !l.v4.Contains(a) && !l.v6.Contains(a) || a.Is4() != vip.Is4() || dp.checks[a] != m {
				t.Fatalf("member %d at %s has address %s", m, vip, a)
			}
		}
	}
	first, err := l.Add(1, v4)
	must(t, err)
	must(t, l.Remove(first))
	if _, there := dp.checks[first]; there {
		t.Error("a check address is left after Remove")
	}
	for _, bad := range []loader.MemberID{0, loader.MaxMembers} {
		if a, err := l.Add(bad, v4); err == nil {
			t.Errorf("member %d got address %s", bad, a)
		}
	}
	dp.err = errors.New("map is full")
	if _, err := l.Add(1, v4); err == nil {
		t.Error("an address the loader refused was handed out")
	}
}

func TestLinkKeepsOffUsedAddresses(t *testing.T) {
	tests := []struct {
		name   string
		use    func(*nettest.Namespace) error
		v4, v6 string
		fails  string
	}{
		{"free", func(*nettest.Namespace) error { return nil }, ranges4[0].String(), ranges6[0].String(), ""},
		{"a default route is no use", func(n *nettest.Namespace) error {
			return n.SetDefaultRoute(netip.MustParseAddr("10.0.0.2"))
		}, ranges4[0].String(), ranges6[0].String(), ""},
		{"an address", func(n *nettest.Namespace) error {
			return n.AddAddr("eth0", netip.MustParsePrefix("198.19.200.9/32"))
		}, ranges4[1].String(), ranges6[0].String(), ""},
		{"a route", func(n *nettest.Namespace) error {
			return n.SetRoute(netip.MustParsePrefix("198.18.0.0/15"), netip.MustParseAddr("10.0.0.2"))
		}, ranges4[1].String(), ranges6[0].String(), ""},
		{"a route to a part", func(n *nettest.Namespace) error {
			return n.SetRoute(netip.MustParsePrefix("198.19.250.0/24"), netip.MustParseAddr("10.0.0.2"))
		}, ranges4[1].String(), ranges6[0].String(), ""},
		{"a filter of bogons", func(n *nettest.Namespace) error {
			_, dst, _ := net.ParseCIDR("198.18.0.0/15")
			return n.Netlink().RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_BLACKHOLE})
		}, ranges4[0].String(), ranges6[0].String(), ""},
		{"IPv6", func(n *nettest.Namespace) error {
			return n.AddAddr("eth0", netip.MustParsePrefix("fd2e:71c5:94a8::9/64"))
		}, ranges4[0].String(), ranges6[1].String(), ""},
		{"everything", func(n *nettest.Namespace) error {
			return errors.Join(
				n.AddAddr("eth0", netip.MustParsePrefix("198.19.200.9/32")),
				n.SetRoute(netip.MustParsePrefix("240.0.0.0/4"), netip.MustParseAddr("10.0.0.2")))
		}, "", "", "in use here: route 240.0.0.0/4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ns, far := nettest.ForTest(t), nettest.ForTest(t)
			must(t, nettest.Veth(ns, "eth0", far, "eth0"))
			must(t, ns.AddAddr("eth0", netip.MustParsePrefix("10.0.0.1/24")))
			must(t, test.use(ns))
			l, err := openIn(ns, newFakeLink())
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("OpenLink = %v, want an error with %q", err, test.fails)
				}
				if _, err := ns.Index(stackEnd); err == nil {
					t.Error("the pair is left after a failure")
				}
				return
			}
			must(t, err)
			if l.v4.String() != test.v4 || l.v6.String() != test.v6 || l.no6 != nil {
				t.Errorf("ranges %s and %s (%v), want %s and %s", l.v4, l.v6, l.no6, test.v4, test.v6)
			}
			again, err := openIn(ns, newFakeLink())
			must(t, err)
			if again.v4 != l.v4 || again.v6 != l.v6 {
				t.Errorf("adopted with ranges %s and %s, were %s and %s", again.v4, again.v6, l.v4, l.v6)
			}
		})
	}
}

func TestLinkIsRefused(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.3")
	t.Run("somebody else's interface", func(t *testing.T) {
		ns, other := nettest.ForTest(t), nettest.ForTest(t)
		must(t, nettest.Veth(ns, xdpEnd, other, "eth0"))
		if _, err := openIn(ns, newFakeLink()); err == nil || !strings.Contains(err.Error(), "none of ours") {
			t.Errorf("OpenLink = %v, want it to leave the interface alone", err)
		}
		if err := ns.Do(RemoveLink); err == nil {
			t.Error("RemoveLink took somebody else's interface")
		}
		if _, err := ns.Index(xdpEnd); err != nil {
			t.Error("somebody else's interface is gone")
		}
	})
	t.Run("programs cannot be attached", func(t *testing.T) {
		ns := nettest.ForTest(t)
		dp := newFakeLink()
		dp.err = errors.New("verifier says no")
		if _, err := openIn(ns, dp); err == nil || !strings.Contains(err.Error(), "verifier says no") {
			t.Errorf("OpenLink = %v, want the cause", err)
		}
		if _, err := ns.Index(stackEnd); err == nil {
			t.Error("the pair is left after a failure")
		}
	})
	t.Run("half a pair is made whole", func(t *testing.T) {
		ns, other := nettest.ForTest(t), nettest.ForTest(t)
		_, err := openIn(ns, newFakeLink())
		must(t, err)
		end, err := ns.Netlink().LinkByName(xdpEnd)
		must(t, err)
		must(t, other.Do(func() error {
			fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return ns.Netlink().LinkSetNsFd(end, fd)
		}))
		_, err = openIn(ns, newFakeLink())
		must(t, err)
		checkPair(t, ns)
	})
	t.Run("no IPv6", func(t *testing.T) {
		ns := nettest.ForTest(t)
		must(t, ns.SetSysctl("net/ipv6/conf/all/disable_ipv6", "1"))
		must(t, ns.SetSysctl("net/ipv6/conf/default/disable_ipv6", "1"))
		l, err := openIn(ns, newFakeLink())
		must(t, err)
		if _, err := l.Add(1, v4); err != nil {
			t.Errorf("IPv4 without IPv6: %v", err)
		}
		if _, err := l.Add(1, netip.MustParseAddr("2001:db8::3")); err == nil || !strings.Contains(err.Error(), "no IPv6 checks") {
			t.Errorf("IPv6 where it is off = %v, want a reason", err)
		}
	})
}

// The node has four capabilities and no more; the link needs one of them.
func TestLinkNeedsOneCapability(t *testing.T) {
	ns := nettest.ForTest(t)
	must(t, ns.Do(func() error {
		// Capabilities are a thread's, and the thread of Do may be thrown away.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var had, few [2]unix.CapUserData
		if err := unix.Capget(&header, &had[0]); err != nil {
			return err
		}
		few[0].Effective, few[0].Permitted = 1<<unix.CAP_NET_ADMIN, had[0].Permitted
		few[1].Permitted = had[1].Permitted
		if err := unix.Capset(&header, &few[0]); err != nil {
			return err
		}
		_, err := OpenLink(newFakeLink())
		return errors.Join(err, RemoveLink(), unix.Capset(&header, &had[0]))
	}))
}

// A probe that no program catches must not wander: the node forwards, and the
// route of the check addresses leads back into the pair.
func TestUncaughtProbeEndsAtTheFarEnd(t *testing.T) {
	ns, far := nettest.ForTest(t), nettest.ForTest(t)
	must(t, nettest.Veth(ns, "eth0", far, "eth0"))
	must(t, ns.AddAddr("eth0", netip.MustParsePrefix("10.0.0.1/24")))
	must(t, ns.AddAddr("eth0", netip.MustParsePrefix("fd00::1/64")))
	must(t, ns.SetSysctl("net/ipv4/ip_forward", "1"))
	must(t, ns.SetSysctl("net/ipv6/conf/all/forwarding", "1"))
	_, err := openIn(ns, newFakeLink())
	must(t, err)
	for backend, check := range map[string]string{"10.0.0.11:22": "198.19.192.1:22", "[fd00::11]:22": "[fd2e:71c5:94a8::1]:22"} {
		target := direct(netip.MustParseAddrPort(backend), Settings{Timeout: 300 * time.Millisecond})
		target.Dial = netip.MustParseAddrPort(check)
		must(t, ns.Do(func() error {
			if out := Probe(t.Context(), target); !out.Hung {
				t.Errorf("outcome = %+v, want no answer", out)
			}
			return nil
		}))
	}
	link, err := ns.Netlink().LinkByName(stackEnd)
	must(t, err)
	// Up to four reports of multicast groups are among them, for it is a router.
	if n := link.Attrs().Statistics.TxPackets; n < 2 || n > 8 {
		t.Errorf("%d packets left by %s for two probes; they went round", n, stackEnd)
	}
}
