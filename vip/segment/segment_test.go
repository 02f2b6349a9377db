package segment

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest/frame"
)

var virtual = map[int]net.HardwareAddr{
	4: {0, 0, 0x5e, 0, 1, 51},
	6: {0, 0, 0x5e, 0, 2, 51},
}

func TestMulticastBothWays(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		a := w.open(t, 0, Options{Family: family, MAC: virtual[family]})
		b := w.open(t, 1, Options{Family: family, MAC: virtual[family]})
		for _, way := range []struct{ from, to *gateway }{{a, b}, {b, a}} {
			way.from.send(t, "advert")
			p := hear(t, way.to.heard)
			if string(p.Payload) != "advert" || p.TTL != 255 || p.Source != way.from.Source() || p.Destination != group(family) {
				t.Errorf("heard %+v from %s", p, way.from.Source())
			}
			if p.Index != way.to.link.Index {
				t.Errorf("it came by interface %d, not %d", p.Index, way.to.link.Index)
			}
		}
	})
}

func TestDefaultSource(t *testing.T) {
	w := newWorld(t, 1)
	// A VIP that was left behind comes before our own address.
	must(t, w.hosts[0].DelAddr(lan, netip.PrefixFrom(own4(0), 24)))
	must(t, w.hosts[0].AddAddr(lan, netip.MustParsePrefix("10.9.0.100/32")))
	must(t, w.hosts[0].AddAddr(lan, netip.PrefixFrom(own4(0), 24)))
	if s := w.open(t, 0, Options{Family: 4}); s.Source() != own4(0) {
		t.Errorf("the source is %s", s.Source())
	}
	if s := w.open(t, 0, Options{Family: 6}); !s.Source().IsLinkLocalUnicast() || s.Source().Zone() != "" {
		t.Errorf("the source is %s", s.Source())
	}
	must(t, w.hosts[0].SetSysctl("net/ipv6/conf/"+lan+"/disable_ipv6", "1"))
	if _, err := w.tryOpen(0, Options{Family: 6}); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("without an address: %v", err)
	}
}

// What a third host sees on its wire, byte by byte.
func TestFrameOnTheWire(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		a := w.open(t, 0, Options{Family: family, MAC: virtual[family]})
		fd := w.packetSocket(t, 1)
		a.send(t, "payload of an advert")
		got := capture(t, fd, virtual[family])
		if net.HardwareAddr(got[:6]).String() != map[int]string{4: "01:00:5e:00:00:12", 6: "33:33:00:00:00:12"}[family] {
			t.Errorf("sent to %s", net.HardwareAddr(got[:6]))
		}
		ip := got[14:]
		var tos, ttl, proto byte
		if family == 4 {
			tos, ttl, proto = ip[1], ip[8], ip[9]
			if ip[6]&0x40 == 0 {
				t.Error("it may be cut into fragments")
			}
			must(t, frame.Verify(got))
		} else {
			tos, ttl, proto = byte(binary.BigEndian.Uint16(ip)>>4), ip[7], ip[6]
		}
		if tos != 0xc0 || ttl != 255 || proto != 112 {
			t.Errorf("traffic class %#x, TTL %d, protocol %d", tos, ttl, proto)
		}
		if !strings.HasSuffix(string(got), "payload of an advert") {
			t.Errorf("frame % x", got)
		}
	})
}

func TestUnicast(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 4)
		a := w.open(t, 0, Options{Family: family, Source: own(family, 0), Peers: []netip.Addr{own(family, 1), own(family, 2)}})
		b := w.open(t, 1, Options{Family: family, Source: own(family, 1), Peers: []netip.Addr{own(family, 0)}, TTL: 64})
		c := w.open(t, 2, Options{Family: family, Source: own(family, 2), Peers: []netip.Addr{own(family, 0)}})
		a.send(t, "from a")
		for i, heard := range []chan Packet{b.heard, c.heard} {
			if p := hear(t, heard); p.Source != own(family, 0) || p.Destination != own(family, i+1) || p.TTL != 255 || string(p.Payload) != "from a" {
				t.Errorf("heard %+v", p)
			}
		}
		b.send(t, "from b")
		if p := hear(t, a.heard); p.Source != own(family, 1) || p.TTL != 64 || string(p.Payload) != "from b" {
			t.Errorf("heard %+v", p)
		}
		// A stranger is nobody's peer; neither is what comes for the group.
		d := w.open(t, 3, Options{Family: family, Source: own(family, 3), Peers: []netip.Addr{own(family, 0)}})
		d.send(t, "from a stranger")
		eventually(t, "the stranger is counted", func() bool { return a.Counters().Strangers == 1 })
		if err := a.Send(own(family, 3), nil); err == nil {
			t.Error("what is no peer can be sent to")
		}
	})
}

// On the wire unicast looks like multicast, but for the MACs.
func TestUnicastOnTheWire(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		a := w.open(t, 0, Options{Family: family, Source: own(family, 0), Peers: []netip.Addr{own(family, 1)}})
		fd := w.packetSocket(t, 1)
		a.send(t, "unicast")
		for {
			got := capture(t, fd, w.mac(t, 0))
			ip := got[14:]
			switch {
			case family == 4 && ip[0]>>4 == 4 && ip[9] == 112:
				if ip[1] != 0xc0 || ip[8] != 255 || ip[6]&0x40 == 0 {
					t.Errorf("header % x", ip[:20])
				}
				return
			case family == 6 && ip[0]>>4 == 6 && ip[6] == 112:
				if binary.BigEndian.Uint16(ip)>>4&0xff != 0xc0 || ip[7] != 255 {
					t.Errorf("header % x", ip[:40])
				}
				return
			}
		}
	})
}

// advert is a frame for the group that a host sends.
func advert(family int, source netip.Addr, ttl uint8, payload string) []byte {
	return frame.Must(frame.Frame{
		SrcMAC: net.HardwareAddr{2, 0, 0, 0, 9, 9}, DstMAC: groupMAC(group(family)),
		EtherType: etherType(group(family)), Src: netip.AddrPortFrom(source, 0), Dst: netip.AddrPortFrom(group(family), 0),
		TTL: &ttl, Protocol: protocol, Payload: []byte(payload),
	})
}

func TestStrangersAreHandedOutWithTheirTTL(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		a := w.open(t, 0, Options{Family: family})
		for _, ttl := range []uint8{254, 1, 0, 255} {
			if ttl == 0 && family == 6 {
				continue // the kernel itself takes it for expired
			}
			w.inject(t, 1, advert(family, own(family, 7), ttl, "routed"))
			if p := hear(t, a.heard); p.TTL != int(ttl) || p.Source != own(family, 7) {
				t.Errorf("heard %+v; it was sent with TTL %d", p, ttl)
			}
		}
	})
}

func TestOwnAndOddPackets(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		// Else the kernel takes what has its own IPv4 address for forged.
		must(t, w.hosts[0].SetSysctl("net/ipv4/conf/"+lan+"/accept_local", "1"))
		a := w.open(t, 0, Options{Family: family})
		w.inject(t, 1, advert(family, a.Source(), 255, "came back"))
		eventually(t, "our own packet is counted", func() bool { return a.Counters().Own == 1 })
		// Unicast, with a group in use, is a stranger's.
		b := w.open(t, 1, Options{Family: family, Source: own(family, 1), Peers: []netip.Addr{own(family, 0)}})
		b.send(t, "unicast")
		eventually(t, "unicast is counted", func() bool { return a.Counters().Strangers == 1 })
		w.inject(t, 1, advert(family, own(family, 1), 255, "good"))
		if p := hear(t, a.heard); string(p.Payload) != "good" {
			t.Errorf("heard %q", p.Payload)
		}
		if len(a.heard) != 0 {
			t.Errorf("%d packets too many", len(a.heard))
		}
	})
}

func TestTooLongToReceive(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newJumboWorld(t)
		a := w.open(t, 0, Options{Family: family})
		w.inject(t, 1, advert(family, own(family, 1), 255, strings.Repeat("x", largest+1)))
		eventually(t, "the long packet is counted", func() bool { return a.Counters().Odd == 1 })
		if len(a.heard) != 0 {
			t.Error("it was handed out")
		}
	})
}

func TestTooLongToSend(t *testing.T) {
	each(t, func(t *testing.T, family int) {
		w := newWorld(t, 2)
		group := w.open(t, 0, Options{Family: family})
		peers := w.open(t, 0, Options{Family: family, Source: own(family, 0), Peers: []netip.Addr{own(family, 1)}})
		for _, g := range []*gateway{group, peers} {
			for _, size := range []int{1500, 65600} {
				err := g.Send(g.Destinations()[0], make([]byte, size))
				if !errors.Is(err, unix.EMSGSIZE) || !strings.Contains(err.Error(), lan) {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
		}
	})
}

func newJumboWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 2)
	for _, host := range w.hosts {
		must(t, host.SetMTU(lan, 9000))
	}
	for _, port := range []string{"p0", "p1"} {
		must(t, w.exchange.SetMTU(port, 9000))
	}
	return w
}
