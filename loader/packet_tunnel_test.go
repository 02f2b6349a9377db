package loader

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"sluice/internal/nettest/frame"
)

// outerSources are those towards near and far, by family. The flow fills the
// bits that far's leave open.
var (
	nearSource = map[bool]netip.Prefix{true: netip.MustParsePrefix("10.0.0.1/32"), false: netip.MustParsePrefix("2001:db8:2::1/128")}
	farSource  = map[bool]netip.Prefix{true: netip.MustParsePrefix("192.0.2.64/28"), false: netip.MustParsePrefix("2001:db8:1:7::/120")}
)

// tunnels lets near be of the VIP's family and far of the other one.
func (f family) tunnelled(id ServiceID) [2]Member {
	far := families[0].far
	if f.vip.Is4() {
		far = families[1].far
	}
	return [2]Member{
		{Service: id, Addr: f.near, NextHop: hopNear, Source: nearSource[f.near.Addr().Is4()]},
		{Service: id, Addr: far, NextHop: hopFar, Source: farSource[far.Addr().Is4()]},
	}
}

// entropy are the bits of the flow's hash that the outer header shows.
func (s stand) entropy(client netip.AddrPort) uint32 {
	return uint32(s.d.key.flow(client, s.d.key.salt(s.svc.Listen)))
}

// wrapped is a frame for a backend as it leaves, in the outer packet that the
// service's mode takes to m.
func (s stand) wrapped(t testing.TB, m Member, client netip.AddrPort, b []byte) []byte {
	t.Helper()
	if !s.svc.Mode.Tunnels() {
		return b
	}
	link := 14 + 4*len(s.tags)
	end := link + int(ipLength(b))
	inner, entropy := b[link:end], s.entropy(client)
	hop := s.hops[m.NextHop]
	f := frame.Frame{
		SrcMAC: hop.Source, DstMAC: hop.Destination, VLANs: s.tags, DontFragment: m.Addr.Addr().Is4(),
		Src: withPort(spread(m.Source, entropy), 0), Dst: withPort(m.Addr.Addr(), 0), Payload: inner, Protocol: 41,
	}
	tos := binary.BigEndian.Uint32(inner) >> 20 & 0xff
	if inner[0]>>4 == 4 {
		f.Protocol, tos = 4, uint32(inner[1])
	}
	f.TOS = uint8(tos)
	if m.Addr.Addr().Is6() {
		f.FlowLabel = entropy & 0xfffff
	}
	if s.svc.Mode == ModeGUE {
		f.Protocol, f.Payload = frame.ProtoUDP, datagram(t, f.Src.Addr(), f.Dst.Addr(), uint16(0xc000|entropy&0x3fff), inner)
	}
	return slices.Concat(build(t, f), b[end:])
}

// spread fills what a prefix leaves open.
func spread(p netip.Prefix, entropy uint32) netip.Addr {
	b := p.Addr().AsSlice()
	last := b[len(b)-4:]
	mask := uint32(1)<<(p.Addr().BitLen()-p.Bits()) - 1
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)|entropy&mask)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// datagram has gopacket make the UDP header and compute its checksum over all
// of the payload.
func datagram(t testing.TB, src, dst netip.Addr, port uint16, payload []byte) []byte {
	t.Helper()
	udp := layers.UDP{SrcPort: layers.UDPPort(port), DstPort: 6080}
	var network gopacket.NetworkLayer = &layers.IPv4{SrcIP: src.AsSlice(), DstIP: dst.AsSlice(), Protocol: layers.IPProtocolUDP}
	if src.Is6() {
		network = &layers.IPv6{SrcIP: src.AsSlice(), DstIP: dst.AsSlice(), NextHeader: layers.IPProtocolUDP}
	}
	mustRig(t, udp.SetNetworkLayerForChecksum(network))
	out := gopacket.NewSerializeBuffer()
	o := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	mustRig(t, gopacket.SerializeLayers(out, o, &udp, gopacket.Payload(payload)))
	b := out.Bytes()
	if b[6] == 0 && b[7] == 0 { // which gopacket leaves, and which says that there is none
		b[6], b[7] = 0xff, 0xff
	}
	return b
}

// room is what an outer header to m takes.
func (s stand) room(m Member) int {
	room := 0
	switch {
	case !s.svc.Mode.Tunnels():
		return 0
	case m.Addr.Addr().Is4():
		room = 20
	default:
		room = 40
	}
	if s.svc.Mode == ModeGUE {
		room += 8
	}
	return room
}

// testTunnel: what the outer header repeats of the packet inside, and what it
// does not. What else can become of a packet the other themes show for these
// modes, too.
func testTunnel(t *testing.T, r *rig) {
	r.stands(t, tunnelKinds, func(t *testing.T, s stand) {
		for which := range 2 {
			c := s.established(t, which)
			for _, tos := range []uint8{0, 1, 2, 3, 0xb8, 0xff} {
				c.play(t, []step{{flags: frame.ACK, data: "x", state: FlowYoung, tweak: func(f *frame.Frame) { f.TOS = tos }}})
			}
			for _, ttl := range []uint8{2, 255} {
				c.play(t, []step{{flags: frame.ACK, data: "odd", state: FlowYoung, tweak: func(f *frame.Frame) { f.TTL = new(ttl) }}})
			}
			c.play(t, []step{
				{say: "fragmenting allowed", flags: frame.ACK, state: FlowYoung, tweak: func(f *frame.Frame) { f.DontFragment = false }},
				{say: "padded", flags: frame.ACK, state: FlowYoung, tweak: func(f *frame.Frame) { f.Length = 90 }},
				{say: "largest", flags: frame.ACK, state: FlowYoung, tweak: func(f *frame.Frame) {
					f.Payload = bytes.Repeat([]byte{0xa5, 0xff}, (1500-s.room(c.to)-60)/2)
				}},
			})
		}
	})
	r.plain(t, tunnelKinds, testTunnelSpread)
	r.plain(t, []kind{gue}, testTunnelZeroChecksum)
}

// testTunnelSpread: flows of one service leave with many outer headers, each
// flow with one.
func testTunnelSpread(t *testing.T, s stand) {
	seen := map[string]bool{}
	for range 64 {
		c := s.established(t, 1)
		_, f := c.segment(fromClient, frame.ACK, "x")
		_, out := s.mustRun(t, s.ext, build(t, f))
		length := 20
		if c.to.Addr.Addr().Is6() {
			length = 40
		}
		// Lengths and IPv4's checksum follow from the rest.
		seen[string(out[14+length-8:14+length+2])+string(out[14:18])] = true
		if !farSource[length == 20].Contains(outerSource(out)) {
			t.Errorf("source %s is not in %s", outerSource(out), farSource[length == 20])
		}
	}
	if len(seen) < 8 {
		t.Errorf("64 flows have %d different outer headers", len(seen))
	}
}

// outerSource is the source of an untagged frame.
func outerSource(b []byte) netip.Addr {
	from := b[26:30]
	if b[12] == 0x86 {
		from = b[22:38]
	}
	a, _ := netip.AddrFromSlice(from)
	return a
}

// testTunnelZeroChecksum: a UDP checksum that comes out as 0 is sent as 0xffff,
// for 0 says that there is none. One client in 65 536 has such a packet.
func testTunnelZeroChecksum(t *testing.T, s stand) {
	to := s.d.members[membersOf(s.id)[0]]
	for port := range uint16(1 << 15) {
		for host := range byte(16) {
			b := s.client.As16()
			// The source ports make up a quarter of all sums. With a packet of IPv4
			// inside the client moves on from there, with one of IPv6 the label.
			b[14] = host << 4
			label := uint32(0)
			if s.vip.Is6() {
				label = uint32(host) << 12
			}
			client := withPort(netip.AddrFrom16(b).Unmap(), port+1<<15)
			// Whatever else is in the packet, its own checksums make up for it.
			f := frame.Frame{Src: client, Dst: s.svc.Listen, Flags: frame.SYN, FlowLabel: label}
			inner := build(t, f)[14:]
			from, out := spread(to.Source, 0), uint16(0xc000|s.entropy(client)&0x3fff)
			if udp := datagram(t, from, to.Addr.Addr(), out, inner); udp[6] != 0xff || udp[7] != 0xff {
				continue
			}
			c := s.talkOf(t, client)
			if c.member != membersOf(s.id)[0] {
				continue
			}
			zero := func(f *frame.Frame) { f.TOS, f.FlowLabel, f.TTL = 0, label, new(uint8(65)) }
			c.play(t, []step{{flags: frame.SYN, tweak: zero}})
			return
		}
	}
	t.Fatal("no packet has the sum")
}
