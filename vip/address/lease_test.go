package address

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// plans are the two ways to have VIPs.
var plans = map[string]func() Plan{"virtual MAC": samplePlan, "no virtual MAC": barePlan}

// F2, F3: what nobody renews the kernel ends, and Renew makes last.
func TestLeaseEndsUnrenewed(t *testing.T) {
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := gateway(t)
			p := plan()
			p.Lease = 1500 * time.Millisecond // two seconds, rounded up
			s := keep(t, n, p)
			s.do(s.Prepare)
			ends := []func(){expiry(t, n, vip4.Addr()), expiry(t, n, vip6.Addr())}
			s.do(s.Take)
			for _, a := range see(t, n).addrs {
				if slices.Contains(vips, a.prefix.Addr()) && a.valid != 2 {
					t.Errorf("%s is leased for %d s, want 2", a.prefix, a.valid)
				}
			}
			for _, ended := range ends {
				ended()
			}
			if s.held() {
				t.Error("the set holds VIPs that are gone")
			}
			if got := s.renew(); len(got) != 2 {
				t.Errorf("Renew repaired %q, want two addresses", got)
			}
			if got := s.renew(); len(got) != 0 || !s.held() {
				t.Errorf("Renew repaired %q again; held: %v", got, s.held())
			}
		})
	}
}

// How an address lies: single, without routes, leased for ever where no time is
// given, and known by its mark.
func TestHowAddressesLie(t *testing.T) {
	for name, plan := range plans {
		n := gateway(t)
		s := keep(t, n, plan())
		s.do(s.Prepare, s.Take)
		sc := see(t, n)
		for _, vip := range vips {
			at := slices.IndexFunc(sc.addrs, func(a lying) bool { return a.prefix.Addr() == vip })
			if at < 0 {
				t.Fatalf("%s: %s is nowhere", name, vip)
			}
			a := sc.addrs[at]
			if !a.prefix.IsSingleIP() || a.flags&unix.IFA_F_NOPREFIXROUTE == 0 || a.valid != forever || a.proto != mark {
				t.Errorf("%s: %+v", name, a)
			}
			if vip.Is6() && a.flags&unix.IFA_F_NODAD == 0 {
				t.Errorf("%s: duplicate detection for %s", name, vip)
			}
		}
		if p := s.places[0]; p.virtual() {
			for i := range s.places {
				l, _ := sc.named(s.places[i].name)
				if l.alias != "sluice vip edge" || len(l.name) > 15 || !l.up || !l.bridged {
					t.Errorf("macvlan %+v", l)
				}
			}
		}
	}
}

// F18: what somebody takes away is put back, and said.
func TestRenewRepairs(t *testing.T) {
	for name, c := range map[string]struct {
		plan func() Plan
		harm func(t *testing.T, n *nettest.Namespace, s *kept) error
		want []string
	}{
		"nothing": {samplePlan, func(*testing.T, *nettest.Namespace, *kept) error { return nil }, nil},
		"address removed": {samplePlan, func(t *testing.T, n *nettest.Namespace, s *kept) error {
			return n.DelAddr(s.places[0].name, single(vip4.Addr()))
		}, []string{"put 192.0.2.3"}},
		"address removed, no virtual MAC": {barePlan, func(t *testing.T, n *nettest.Namespace, s *kept) error {
			return n.DelAddr(outside, single(vip6.Addr()))
		}, []string{"put 2001:db8::3"}},
		"macvlan deleted": {samplePlan, func(t *testing.T, n *nettest.Namespace, s *kept) error {
			return deleteNamed(t, n, s.places[0].name)
		}, []string{"made macvlan", "put 192.0.2.3", "brought up"}},
		// The kernel drops IPv6 addresses with the link.
		"macvlans down": {samplePlan, func(t *testing.T, n *nettest.Namespace, s *kept) error {
			must(t, n.Down(s.places[0].name))
			return n.Down(s.places[1].name)
		}, []string{"brought up", "put 2001:db8::3", "brought up"}},
		"another MAC": {samplePlan, func(t *testing.T, n *nettest.Namespace, s *kept) error {
			l, err := n.Netlink().LinkByName(s.places[0].name)
			must(t, err)
			return n.Netlink().LinkSetHardwareAddr(l, []byte{2, 0, 0, 0, 0, 9})
		}, []string{"made macvlan", "put 192.0.2.3", "brought up"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := gateway(t)
			s := keep(t, n, c.plan())
			s.do(s.Prepare, s.Take)
			must(t, c.harm(t, n, s))
			got := s.renew()
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("Renew repaired %q, want %q", got, c.want)
			}
			if again := s.renew(); !s.held() || len(again) > 0 {
				t.Errorf("held: %v; then it repaired %q", s.held(), again)
			}
		})
	}
}

// F18: the physical interface is renamed under an active gateway: the VIPs are
// renewed where they lie, and the fault is told each time. Then it is gone, and
// another comes: the VIPs are laid again.
func TestRenewOfAnotherInterface(t *testing.T) {
	n, far := gateway(t), nettest.ForTest(t)
	plan := samplePlan()
	plan.Lease = 100 * time.Second
	s := keep(t, n, plan)
	s.do(s.Prepare, s.Take)
	l, err := n.Netlink().LinkByName(outside)
	must(t, err)
	must(t, n.Netlink().LinkSetName(l, "wan0"))
	longer := plan
	longer.Lease = 200 * time.Second
	s.plan = longer
	for range 2 {
		repaired, err := s.renewTry()
		if len(repaired) > 0 || err == nil || !strings.Contains(err.Error(), `"ext0" does not exist`) {
			t.Errorf("repaired %q, %v", repaired, err)
		}
	}
	for _, a := range see(t, n).addrs {
		if slices.Contains(vips, a.prefix.Addr()) && a.valid <= 100 {
			t.Errorf("%s is leased for %d s", a.prefix, a.valid)
		}
	}
	must(t, n.Netlink().LinkDel(l))
	if _, err := s.renewTry(); err == nil {
		t.Error("no error without an interface")
	}
	must(t, nettest.Veth(n, outside, far, "far0"))
	if got := s.renew(); len(got) != 6 || !s.held() {
		t.Errorf("Renew repaired %q", got)
	}
	if got := sysctl(t, n, "ipv4/conf/ext0/arp_ignore"); got != "1" {
		t.Errorf("arp_ignore of the new interface is %s", got)
	}
}

func (k *kept) renewTry() (repaired []string, err error) {
	err = k.ns.Do(func() (err error) { repaired, err = k.Renew(); return err })
	return repaired, err
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func deleteNamed(t *testing.T, n *nettest.Namespace, name string) error {
	t.Helper()
	l, err := n.Netlink().LinkByName(name)
	must(t, err)
	return n.Netlink().LinkDel(l)
}

// A Take that fails half-way leaves nothing that Release does not take away.
func TestReleaseAfterHalfATake(t *testing.T) {
	n := gateway(t)
	plan := samplePlan()
	plan.VIPs = append(plan.VIPs, VIP{netip.MustParsePrefix("10.0.0.3/24"), inside, VirtualMAC(51, vip4.Addr())})
	s := keep(t, n, plan)
	s.do(s.Prepare)
	// Another's interface has taken the MAC.
	index, err := n.Index(inside)
	must(t, err)
	thief := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "thief", ParentIndex: index, HardwareAddr: VirtualMAC(51, vip4.Addr())}, Mode: netlink.MACVLAN_MODE_BRIDGE}
	must(t, n.Netlink().LinkAdd(thief))
	must(t, n.Up("thief"))

	err = n.Do(s.Take)
	if err == nil || !strings.Contains(err.Error(), "has its MAC") {
		t.Fatalf("Take: %v", err)
	}
	for range 2 {
		s.do(s.Release)
		wantNoVIP(t, n, plan)
	}
	must(t, n.Netlink().LinkDel(thief))
	s.do(s.Take)
	if !s.held() {
		t.Error("a later Take did not take all")
	}
	// An interface goes away under a set that is active.
	must(t, deleteNamed(t, n, inside))
	if err := n.Do(s.Take); err == nil || !strings.Contains(err.Error(), `"int0" does not exist`) {
		t.Errorf("Take: %v", err)
	}
	s.do(s.Release)
	wantNoVIP(t, n, plan)
}

func wantNoVIP(t *testing.T, n *nettest.Namespace, plan Plan) {
	t.Helper()
	sc := see(t, n)
	for _, a := range sc.addrs {
		if slices.ContainsFunc(plan.VIPs, func(v VIP) bool { return v.Addr.Addr() == a.prefix.Addr() }) {
			t.Errorf("%s lies on interface %d", a.prefix, a.index)
		}
	}
	for _, l := range sc.links {
		if cluster, ours := l.owner(); ours && cluster == plan.Cluster && l.up {
			t.Errorf("macvlan %q is up", l.name)
		}
	}
}

// killed runs a gateway that holds the VIPs and is killed.
func killed(t *testing.T, n *nettest.Namespace, args ...string) {
	t.Helper()
	cmd := n.Command(context.Background(), "/proc/self/exe", append([]string{"hold"}, args...)...)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil || string(line) != "held\n" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	must(t, cmd.Process.Kill())
	if _, ok := cmd.Wait().(*exec.ExitError); !ok {
		t.Fatal("the process was not killed")
	}
}

// F2, F18: what a killed process held without a lease is swept by the next one's
// Prepare, or goes on by its Adopt.
func TestAfterAKill(t *testing.T) {
	for name, plan := range plans {
		var args []string
		if name != "virtual MAC" {
			args = []string{"bare"}
		}
		t.Run(name+", swept", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			s := keep(t, n, plan())
			if !s.held() {
				t.Fatal("the killed process left nothing: nothing is proved")
			}
			s.do(s.Prepare)
			wantNoVIP(t, n, plan())
		})
		t.Run(name+", adopted", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			before := see(t, n)
			s := keep(t, n, plan())
			var socket = changes(t, n)
			must(t, n.Do(func() error {
				repaired, err := s.Adopt()
				if len(repaired) > 0 {
					t.Errorf("adopted by repairing %q", repaired)
				}
				return err
			}))
			if removed := socket(); removed > 0 {
				t.Errorf("%d addresses were gone for a moment", removed)
			}
			if after := see(t, n); !s.held() || len(after.addrs) != len(before.addrs) {
				t.Errorf("held: %v", s.held())
			}
		})
		t.Run(name+", on another interface", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			moved := plan()
			for i := range moved.VIPs {
				moved.VIPs[i].Interface = inside
			}
			s := keep(t, n, moved)
			s.do(s.Prepare)
			wantNoVIP(t, n, moved)
			s.do(s.Take)
			if sc := see(t, n); !s.held() || sc.has(mustIndex(t, n, outside), vip4.Addr()) {
				t.Errorf("held: %v; %v", s.held(), sc.addrs)
			}
		})
		t.Run(name+", another plan", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			host := openHost(t, n)
			other := plan()
			other.Cluster, other.VRID = "other", 52
			for i := range other.VIPs {
				if other.VIPs[i].MAC != nil {
					other.VIPs[i].MAC = VirtualMAC(52, other.VIPs[i].Addr.Addr())
				}
				other.VIPs[i].Addr = netip.PrefixFrom(other.VIPs[i].Addr.Addr().Next(), other.VIPs[i].Addr.Bits())
			}
			s := keepOf(t, n, host, other)
			s.do(s.Prepare, s.Take)
			must(t, n.Do(func() error {
				swept, err := host.Sweep()
				if len(swept) != 2 {
					t.Errorf("swept %q, want two", swept)
				}
				return err
			}))
			wantNoVIP(t, n, plan())
			if !s.held() {
				t.Error("it swept what a set has")
			}
		})
	}
}

// changes counts addresses that are removed until it is called.
func changes(t *testing.T, n *nettest.Namespace) func() int {
	t.Helper()
	fd := -1
	must(t, n.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1)})
		}
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() (removed int) {
		b := make([]byte, 1<<16)
		for {
			got, err := unix.Read(fd, b)
			if err != nil {
				return removed
			}
			messages, err := syscall.ParseNetlinkMessage(b[:got])
			must(t, err)
			for _, m := range messages {
				if m.Header.Type == unix.RTM_DELADDR {
					removed++
				}
			}
		}
	}
}

// No more than CAP_NET_ADMIN and CAP_NET_RAW is needed, by an ordinary user.
func TestCapabilitiesThatAreEnough(t *testing.T) {
	n := gateway(t)
	cmd := n.Command(context.Background(), "/proc/self/exe", "tour")
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A hardened service sees /proc/sys read-only. IPv4 settings go by netlink then,
// and IPv6's must be so from the start: by those of new interfaces.
func TestReadOnlySysctls(t *testing.T) {
	n := gateway(t)
	exe, err := os.Executable()
	must(t, err)
	tour := func() ([]byte, error) {
		script := "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec " + exe + " tour"
		cmd := n.Command(context.Background(), "/bin/sh", "-c", script)
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
		return cmd.CombinedOutput()
	}
	must(t, n.SetSysctl("net/ipv6/conf/default/accept_ra", "1"))
	if out, err := tour(); err == nil || !strings.Contains(string(out), "accept_ra to 0") || !strings.Contains(string(out), "writable /proc/sys/net") {
		t.Errorf("%v: %s", err, out)
	}
	for _, name := range []string{"accept_ra", "accept_dad", "autoconf"} {
		must(t, n.SetSysctl("net/ipv6/conf/default/"+name, "0"))
	}
	if out, err := tour(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
