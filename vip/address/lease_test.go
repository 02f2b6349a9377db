package address

import (
	"net/netip"
	"slices"
	"strings"
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
