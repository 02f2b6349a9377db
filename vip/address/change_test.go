package address

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func netipNext(p netip.Prefix) netip.Prefix { return netip.PrefixFrom(p.Addr().Next(), p.Bits()) }

// F19: a new plan of an active gateway leaves no gap for what both have.
func TestChangeWhileActive(t *testing.T) {
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			n := gateway(t)
			s := keep(t, n, plan())
			s.do(s.Prepare, s.Take)
			kept := see(t, n)
			next := plan()
			next.VIPs[1].Addr = netipNext(vip6)
			next.VIPs = append(next.VIPs, VIP{netip.MustParsePrefix("10.0.0.3/24"), inside, next.VIPs[0].MAC})
			removed := changes(t, n)
			s.do(func() error { return s.Change(next) })
			if got := removed(); got != 1 {
				t.Errorf("%d addresses were removed, want 1", got)
			}
			if after := see(t, n); !s.held() || after.has(mustIndex(t, n, s.places[0].name), vip6.Addr()) || !hasAnywhere(after, vip4.Addr()) {
				t.Errorf("held: %v; %v, before %v", s.held(), after.addrs, kept.addrs)
			}
			// Back, and the other interface is left as it was.
			s.do(func() error { return s.Change(plan()) })
			if got := sysctl(t, n, "ipv4/conf/int0/arp_ignore"); got != "0" {
				t.Errorf("arp_ignore of int0 is %s", got)
			}
			if sc := see(t, n); hasAnywhere(sc, netip.MustParseAddr("10.0.0.3")) || !s.held() {
				t.Errorf("held: %v; %v", s.held(), sc.addrs)
			}
		})
	}
}

func hasAnywhere(sc *scene, addr netip.Addr) bool {
	return slices.ContainsFunc(sc.addrs, func(a lying) bool { return a.prefix.Addr() == addr })
}

// A refused plan leaves the old one in force.
func TestChangeRefused(t *testing.T) {
	n := gateway(t)
	s := keep(t, n, samplePlan())
	s.do(s.Prepare, s.Take)
	before := see(t, n)
	bad := samplePlan()
	bad.VIPs[0].Interface = "ext9"
	if err := n.Do(func() error { return s.Change(bad) }); err == nil {
		t.Fatal("a plan for a missing interface was taken")
	}
	bad = otherPlan()
	if err := n.Do(func() error { return s.Change(bad) }); err == nil || !strings.Contains(err.Error(), "cannot become") {
		t.Fatalf("another cluster: %v", err)
	}
	wantSame(t, before, see(t, n))
	if got := s.renew(); len(got) > 0 || !s.held() {
		t.Errorf("Renew repaired %q", got)
	}
}

// Whatever is done in whatever order, the physical interface keeps its addresses,
// its MAC and its state, and after a Release no VIP is there.
func TestPhysicalAddressesAreNeverTouched(t *testing.T) {
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 1))
			t.Logf("seed %d", seed)
			n := gateway(t)
			host := openHost(t, n)
			before := see(t, n)
			for range 20 {
				s := keepOf(t, n, host, plan())
				steps := []func() error{s.Prepare, s.Take, s.Announce, s.Release, s.Held2, s.Renew2, func() error { return s.Change(plan()) }}
				s.do(s.Prepare)
				for range 5 {
					s.do(steps[random.IntN(len(steps))])
					wantPhysical(t, before, see(t, n))
				}
				s.do(s.Release)
				wantNoVIP(t, n, plan())
				s.do(func() error { return s.Close(true) })
				wantSame(t, before, see(t, n))
				if t.Failed() {
					return
				}
			}
		})
	}
}

// Held2 and Renew2 have the shape of a step.
func (k *kept) Held2() error  { _, err := k.Held(); return err }
func (k *kept) Renew2() error { _, err := k.Renew(); return err }

func wantPhysical(t *testing.T, before, after *scene) {
	t.Helper()
	var rest scene
	for _, l := range after.links {
		if _, ours := l.owner(); !ours {
			rest.links = append(rest.links, l)
		}
	}
	for _, a := range after.addrs {
		if a.proto != mark {
			rest.addrs = append(rest.addrs, a)
		}
	}
	wantSame(t, before, &rest)
}

// A second Close does nothing, and nothing can be done after it.
func TestAfterClose(t *testing.T) {
	n := gateway(t)
	host := openHost(t, n)
	s := keepOf(t, n, host, samplePlan())
	if _, err := host.New(samplePlan()); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a second set of the cluster: %v", err)
	}
	s.do(s.Prepare, s.Take, func() error { return s.Close(false) })
	again := keepOf(t, n, host, samplePlan())
	if !again.held() {
		t.Error("Close without remove took the VIPs away")
	}
	again.do(again.Prepare, func() error { return again.Close(true) }, func() error { return again.Close(true) })
	for name, step := range map[string]func() error{"Prepare": again.Prepare, "Take": again.Take} {
		if err := n.Do(step); err == nil {
			t.Errorf("%s after Close", name)
		}
	}
}

// Own addresses are those without ours, with the lengths of their networks.
func TestOwn(t *testing.T) {
	for _, plan := range plans {
		n := gateway(t)
		s := keep(t, n, plan())
		s.do(s.Prepare, s.Take)
		want := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}
		must(t, n.Do(func() error {
			got, err := Own(outside)
			got = slices.DeleteFunc(got, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
			if !slices.Equal(got, want) {
				t.Errorf("own addresses %v, want %v", got, want)
			}
			return err
		}))
		if err := n.Do(func() error { _, err := Own("ext9"); return err }); err == nil || !strings.Contains(err.Error(), `"ext9" does not exist`) {
			t.Errorf("a missing interface: %v", err)
		}
	}
}
