package segment

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// pairs are two gateways in each of the ways that adverts go.
func pairs(t *testing.T, fn func(t *testing.T, w *world, family int, a, b *gateway)) {
	each(t, func(t *testing.T, family int) {
		t.Run("multicast", func(t *testing.T) {
			w := newWorld(t, 2)
			o := Options{Family: family, MAC: virtual[family]}
			fn(t, w, family, w.open(t, 0, o), w.open(t, 1, o))
		})
		t.Run("unicast", func(t *testing.T) {
			w := newWorld(t, 2)
			link := make([]netip.Addr, 2)
			for i := range link {
				if link[i] = own(family, i); family == 6 {
					link[i] = w.open(t, i, Options{Family: 6}).Source()
				}
			}
			a := w.open(t, 0, Options{Family: family, Source: link[0], Peers: []netip.Addr{link[1]}})
			b := w.open(t, 1, Options{Family: family, Source: link[1], Peers: []netip.Addr{link[0]}})
			fn(t, w, family, a, b)
		})
	})
}

func TestLinkDownAndUp(t *testing.T) {
	pairs(t, func(t *testing.T, w *world, _ int, a, b *gateway) {
		a.sendUntil(t, "before", b.heard)
		must(t, w.hosts[0].Down(lan))
		eventually(t, "the sender sees its link down", func() bool {
			err := a.Send(a.Destinations()[0], []byte("into nothing"))
			return errors.Is(err, unix.ENETDOWN) && strings.Contains(err.Error(), lan)
		})
		must(t, w.hosts[0].Up(lan))
		must(t, w.exchange.Down("p1"))
		eventually(t, "the other sees no carrier", func() bool {
			err := b.Send(b.Destinations()[0], []byte("into nothing"))
			return errors.Is(err, unix.ENETDOWN) && strings.Contains(err.Error(), "no carrier")
		})
		must(t, w.exchange.Up("p1"))
		a.sendUntil(t, "after", b.heard)
		b.sendUntil(t, "after", a.heard)
	})
}

func TestInterfaceMadeAnew(t *testing.T) {
	pairs(t, func(t *testing.T, w *world, family int, a, b *gateway) {
		a.sendUntil(t, "before", b.heard)
		old, err := w.hosts[0].Netlink().LinkByName(lan)
		must(t, err)
		must(t, w.hosts[0].Netlink().LinkDel(old))
		must(t, nettest.Veth(w.exchange, "p0", w.hosts[0], lan))
		must(t, w.exchange.Plug("br0", "p0"))
		must(t, w.hosts[0].AddAddr(lan, netip.PrefixFrom(own4(0), 24)))
		eventually(t, "the old socket is of no use", func() bool { return errors.Is(a.Err(), ErrReopen) })
		err = a.Send(a.Destinations()[0], nil)
		if !errors.Is(err, ErrReopen) || !strings.Contains(err.Error(), lan) || !strings.Contains(err.Error(), "reopen") {
			t.Errorf("sending says %v", err)
		}
		must(t, w.hosts[0].Settled(t.Context()))
		again := w.open(t, 0, Options{Family: family, MAC: virtual[family]})
		if family == 4 && again.Source() != own4(0) {
			t.Errorf("the source is %s", again.Source())
		}
		all := w.open(t, 1, Options{Family: family})
		again.sendUntil(t, "after", all.heard)
		all.sendUntil(t, "after", again.heard)
	})
}

func TestRenamed(t *testing.T) {
	w := newWorld(t, 2)
	a := w.open(t, 0, Options{Family: 4})
	rename := func(from, to string) {
		link, err := w.hosts[0].Netlink().LinkByName(from)
		must(t, err)
		must(t, w.hosts[0].Netlink().LinkSetName(link, to))
	}
	rename(lan, "other0")
	eventually(t, "the name is another", func() bool { return errors.Is(a.Err(), ErrReopen) })
	rename("other0", lan)
	eventually(t, "the name is back", func() bool { return a.Err() == nil })
}

func TestSourceAddressGoes(t *testing.T) {
	pairs(t, func(t *testing.T, w *world, family int, a, b *gateway) {
		a.sendUntil(t, "before", b.heard)
		length := 24
		if family == 6 {
			length = 64
		}
		prefix := netip.PrefixFrom(a.Source(), length)
		must(t, w.hosts[0].DelAddr(lan, prefix))
		eventually(t, "the address is missing", func() bool {
			err := a.Send(a.Destinations()[0], []byte("from nowhere"))
			return errors.Is(err, ErrReopen) && errors.Is(err, unix.EADDRNOTAVAIL) && strings.Contains(err.Error(), a.Source().String())
		})
		must(t, w.hosts[0].AddAddr(lan, prefix))
		a.sendUntil(t, "after", b.heard)
	})
}

// An address may come after the socket.
func TestSourceAddressComesLater(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		b := w.open(t, 1, Options{Family: family, Source: own(family, 1), Peers: []netip.Addr{own(family, 8)}})
		must(t, w.hosts[0].Down(lan))
		a := w.open(t, 0, Options{Family: family, Source: own(family, 8), Peers: []netip.Addr{own(family, 1)}})
		must(t, w.hosts[0].Up(lan))
		must(t, w.hosts[0].AddAddr(lan, netip.PrefixFrom(own(family, 8), map[int]int{4: 24, 6: 64}[family])))
		a.sendUntil(t, "late", b.heard)
		b.sendUntil(t, "late", a.heard)
	})
}

// An MTU too small for IPv6 takes the interface's groups away, and the kernel
// does not give them back.
func TestGroupIsJoinedAgain(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		a := w.open(t, 0, Options{Family: family, Source: own(family, 0)})
		b := w.open(t, 1, Options{Family: family})
		b.sendUntil(t, "before", a.heard)
		must(t, w.hosts[0].SetMTU(lan, 1279))
		if family == 6 {
			eventually(t, "the loss is told", func() bool {
				return errors.Is(a.Err(), ErrReopen)
			})
		}
		must(t, w.hosts[0].SetMTU(lan, 1500))
		b.sendUntil(t, "after", a.heard)
	})
}

// Both gateways may hold the virtual MAC on a macvlan that is up, in a split.
func TestVirtualMACIsUpHereToo(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		for _, host := range w.hosts {
			parent, err := host.Netlink().LinkByName(lan)
			must(t, err)
			must(t, host.Netlink().LinkAdd(&netlink.Macvlan{
				LinkAttrs: netlink.LinkAttrs{Name: "vip0", ParentIndex: parent.Attrs().Index, HardwareAddr: virtual[family]},
				Mode:      netlink.MACVLAN_MODE_BRIDGE,
			}))
			must(t, host.Up("vip0"))
		}
		a := w.open(t, 0, Options{Family: family, MAC: virtual[family]})
		b := w.open(t, 1, Options{Family: family, MAC: virtual[family]})
		a.sendUntil(t, "from a", b.heard)
		b.sendUntil(t, "from b", a.heard)
	})
}
