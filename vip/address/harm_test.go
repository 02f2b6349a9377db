package address

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// F18: whatever is done to a gateway by hand, one Renew makes it good and one
// Release leaves nothing, with the physical interface as it was.
func TestAnyHarmIsRepaired(t *testing.T) {
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 2))
			t.Logf("seed %d", seed)
			n := gateway(t)
			before := see(t, n)
			s := keep(t, n, plan())
			s.do(s.Prepare)
			for range 20 {
				s.do(s.Take)
				for range 1 + random.IntN(4) {
					harm(t, n, s, random)
				}
				repaired := s.renew()
				if again := s.renew(); !s.held() || len(again) > 0 {
					t.Fatalf("held: %v; repaired %q, then %q", s.held(), repaired, again)
				}
				wantPhysical(t, before, see(t, n))
				s.do(s.Release)
				wantNoVIP(t, n, plan())
				wantPhysical(t, before, see(t, n))
			}
			s.do(func() error { return s.Close(true) })
			wantSame(t, before, see(t, n))
		})
	}
}

// harm does something to what is the set's, if it still is there.
func harm(t *testing.T, n *nettest.Namespace, s *kept, random *rand.Rand) {
	t.Helper()
	p := s.places[random.IntN(len(s.places))]
	vip := p.vips[random.IntN(len(p.vips))]
	sc := see(t, n)
	l, found := sc.named(p.name)
	if !found {
		return
	}
	kind := random.IntN(7)
	if !p.virtual() {
		kind = 0
	}
	do := map[int]func() error{
		0: func() error { return remove(l.index, single(vip)) },
		1: func() error { return deleteLink(l) },
		2: func() error { return lower(l) },
		3: func() error {
			return netlink.LinkSetHardwareAddr(at(l.index), []byte{2, 0, 0, 0, 0, byte(random.IntN(255))})
		},
		4: func() error { return netlink.LinkSetAlias(at(l.index), "") },
		5: func() error { return lease(l.index, netip.MustParseAddr("198.51.100.7"), forever) },
		6: func() error {
			parent, _ := sc.named(p.parent)
			err := deleteLink(l)
			if err == nil {
				// A foreign mode, under our name.
				err = netlink.LinkAdd(&netlink.Macvlan{
					LinkAttrs: netlink.LinkAttrs{Name: p.name, ParentIndex: parent.index, HardwareAddr: p.mac}, Mode: netlink.MACVLAN_MODE_PRIVATE,
				})
			}
			return err
		},
	}[kind]
	if err := n.Do(do); err != nil && err != unix.EBUSY {
		t.Fatalf("harm %d: %v", kind, err)
	}
}
