package address

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/nettest"
)

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
