package loader

import (
	"fmt"
	"maps"
	"net"
	"testing"

	"sluice/internal/nettest/frame"
)

// untouched checks that a frame is passed up byte for byte and counts nowhere.
func (r *rig) untouched(t *testing.T, from iface, in []byte) {
	t.Helper()
	r.check(t, from, in, expected{verdict: xdpPass, out: in})
}

// testForeign: a packet that is not ours is never touched, whatever is odd
// about it.
func testForeign(t *testing.T, r *rig) {
	for name, tags := range tagsets {
		for _, f := range families {
			for what, in := range foreignFrames(f) {
				t.Run(fmt.Sprintf("%s %s %s", what, f.name, name), func(t *testing.T) {
					in.VLANs = tags
					r.untouched(t, r.ext, build(t, in))
					r.untouched(t, r.int, build(t, in))
				})
			}
		}
	}
	t.Run("three tags", func(t *testing.T) { testForeignTags(t, r) })
	t.Run("runts", func(t *testing.T) { testForeignRunts(t, r) })
	t.Run("every byte a lie", func(t *testing.T) { testForeignLies(t, r) })
}

// foreignFrames are frames that no service has to do with: for other addresses,
// other ports, other protocols.
func foreignFrames(f family) map[string]frame.Frame {
	frames := foreignTCP(f)
	maps.Copy(frames, foreignOthers(f))
	if f.vip.Is4() {
		maps.Copy(frames, foreignV4(f))
	} else {
		maps.Copy(frames, foreignV6(f))
	}
	return frames
}

// toHost is a segment of a client to a host that is no VIP.
func toHost(f family, fr frame.Frame) frame.Frame {
	fr.Src, fr.Dst, fr.Seq, fr.Window = withPort(f.client, 40000), withPort(f.near.Addr(), 8080), 1, 64240
	return fr
}

func foreignTCP(f family) map[string]frame.Frame {
	client := withPort(f.client, 40000)
	tcp := func(fr frame.Frame) frame.Frame { return toHost(f, fr) }
	return map[string]frame.Frame{
		"syn":             tcp(frame.Frame{Flags: frame.SYN, Options: frame.MSS(1460)}),
		"data":            tcp(frame.Frame{Flags: frame.ACK, Payload: []byte("data")}),
		"no flags":        tcp(frame.Frame{}),
		"all flags":       tcp(frame.Frame{Flags: 0xff}),
		"ttl 0":           tcp(frame.Frame{Flags: frame.ACK, TTL: new(uint8(0))}),
		"doff 4":          tcp(frame.Frame{Flags: frame.ACK, Lies: frame.Lies{DataOffset: new(uint8(4))}}),
		"doff 15":         tcp(frame.Frame{Flags: frame.ACK, Lies: frame.Lies{DataOffset: new(uint8(15))}}),
		"wrong checksum":  tcp(frame.Frame{Flags: frame.ACK, Lies: frame.Lies{Checksum: true, IPChecksum: true}}),
		"length too long": tcp(frame.Frame{Flags: frame.ACK, Lies: frame.Lies{IPLength: new(uint16(9000))}}),
		"length 0":        tcp(frame.Frame{Flags: frame.ACK, Lies: frame.Lies{IPLength: new(uint16(0))}}),
		"version 5":       tcp(frame.Frame{Flags: frame.ACK, Lies: frame.Lies{IPVersion: new(uint8(5))}}),
		"version 0":       tcp(frame.Frame{Flags: frame.ACK, Lies: frame.Lies{IPVersion: new(uint8(0))}}),
		"fragment":        tcp(frame.Frame{Flags: frame.ACK, MoreFragments: true, Payload: make([]byte, 64)}),
		"middle fragment": tcp(frame.Frame{Protocol: frame.ProtoTCP, MoreFragments: true, FragmentOffset: 64, Payload: make([]byte, 64)}),
		"last fragment":   tcp(frame.Frame{Protocol: frame.ProtoTCP, FragmentOffset: 128, Payload: make([]byte, 7)}),
		"as large as can": tcp(frame.Frame{Flags: frame.ACK, Length: 3400}),
		"padded":          tcp(frame.Frame{Flags: frame.ACK, Length: 100}),
		"other port":      {Src: client, Dst: withPort(f.vip, 8080), Flags: frame.SYN},
		"from a vip":      {Src: withPort(f.vip, uint16(hide)), Dst: client, Flags: frame.SYN | frame.ACK},
		"from a backend":  {Src: f.near, Dst: client, Flags: frame.ACK},
		"to the pool":     {Src: f.near, Dst: withPort(f.pool[1], 3000), Flags: frame.ACK},
	}
}

func foreignOthers(f family) map[string]frame.Frame {
	client, host, vip := withPort(f.client, 40000), withPort(f.near.Addr(), 8080), withPort(f.vip, 8080)
	echo := &frame.ICMP{Type: 8, Rest: 1}
	if f.vip.Is6() {
		echo.Type = 128
	}
	return map[string]frame.Frame{
		"ping":             {Src: client, Dst: host, ICMP: echo},
		"ping to local":    {Src: client, Dst: withPort(f.local, 8080), ICMP: echo},
		"udp":              {Src: client, Dst: host, Protocol: frame.ProtoUDP, Payload: udpTo(9)},
		"udp to a service": {Src: client, Dst: vip, Protocol: frame.ProtoUDP, Payload: udpTo(uint16(hide))},
		"udp fragment":     {Src: client, Dst: vip, Protocol: frame.ProtoUDP, FragmentOffset: 64, Payload: make([]byte, 8)},
		"udp head":         {Src: client, Dst: vip, Protocol: frame.ProtoUDP, MoreFragments: true, Payload: udpTo(uint16(hide))},
		"sctp to a vip":    {Src: client, Dst: vip, Protocol: 132, Payload: udpTo(uint16(hide))},
		"arp":              {EtherType: frame.TypeARP, DstMAC: broadcast, Payload: make([]byte, 28), Length: 60},
		"lldp":             {EtherType: 0x88cc, DstMAC: net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 0x0e}, Payload: make([]byte, 46)},
		"llc":              {EtherType: 38, Payload: make([]byte, 46)},
		"empty":            {EtherType: frame.TypeIPv4},
	}
}

var broadcast = net.HardwareAddr{255, 255, 255, 255, 255, 255}

func foreignV4(f family) map[string]frame.Frame {
	client, vip := withPort(f.client, 40000), withPort(f.vip, uint16(hide))
	return map[string]frame.Frame{
		"ip options":       toHost(f, frame.Frame{Flags: frame.ACK, IPOptions: frame.NOPs(40)}),
		"ihl 4":            toHost(f, frame.Frame{Flags: frame.ACK, Lies: frame.Lies{IHL: new(uint8(4))}}),
		"ihl 15":           toHost(f, frame.Frame{Flags: frame.ACK, Lies: frame.Lies{IHL: new(uint8(15))}}),
		"ihl 0 to a vip":   {Src: client, Dst: vip, Flags: frame.ACK, Lies: frame.Lies{IHL: new(uint8(0))}},
		"version 6 to vip": {Src: client, Dst: vip, Flags: frame.ACK, Lies: frame.Lies{IPVersion: new(uint8(6))}},
		"ipip to a vip":    {Src: vip, Dst: vip, Protocol: 4, Payload: make([]byte, 40)},
	}
}

func foreignV6(f family) map[string]frame.Frame {
	client, vip := withPort(f.client, 40000), withPort(f.vip, uint16(hide))
	extended := func(n int, fr frame.Frame) frame.Frame {
		for range n {
			fr.Extensions = append(fr.Extensions, frame.Extension{Type: frame.ProtoDestination, Body: make([]byte, 6)})
		}
		return fr
	}
	udp := frame.Frame{Src: client, Dst: vip, Protocol: frame.ProtoUDP, Payload: udpTo(uint16(hide))}
	solicitation := frame.Frame{
		Src: withPort(f.router, 0), Dst: withPort(f.vip, 0), TTL: new(uint8(255)),
		ICMP: &frame.ICMP{Type: 135}, Payload: f.vip.AsSlice(),
	}
	return map[string]frame.Frame{
		"extension":                extended(1, toHost(f, frame.Frame{Flags: frame.ACK})),
		"five extensions":          extended(5, toHost(f, frame.Frame{Flags: frame.ACK})),
		"extended udp to a vip":    extended(1, udp),
		"much extended udp to vip": extended(4, udp),
		"neighbour solicitation":   solicitation,
		"esp to a vip":             {Src: client, Dst: vip, Protocol: 50, Payload: make([]byte, 40)},
	}
}

// udpTo is a UDP header with ports, as Payload.
func udpTo(port uint16) []byte {
	return []byte{0x9c, 0x40, byte(port >> 8), byte(port), 0, 8, 0, 0}
}

// testForeignTags: two tags are looked behind, and no more.
func testForeignTags(t *testing.T, r *rig) {
	for _, f := range families {
		client, vip := withPort(f.client, 40000), withPort(f.vip, uint16(hide))
		r.untouched(t, r.ext, build(t, frame.Frame{VLANs: []uint16{1, 2, 3}, Src: client, Dst: vip, Flags: frame.SYN}))
		// A tag that is cut off behind its id.
		r.untouched(t, r.ext, build(t, frame.Frame{VLANs: []uint16{1, 2}, Src: client, Dst: vip, Length: 20}))
	}
}

// testForeignRunts cuts a frame short everywhere. Program.Run takes no less
// than an Ethernet header.
func testForeignRunts(t *testing.T, r *rig) {
	for _, f := range families {
		for _, tags := range tagsets {
			whole := build(t, frame.Frame{VLANs: tags, Src: withPort(f.client, 40000), Dst: f.near, Flags: frame.ACK})
			for n := 14; n <= len(whole); n++ {
				r.untouched(t, r.ext, whole[:n])
			}
		}
	}
}

// testForeignLies sets every byte behind the addresses of Ethernet to the
// values parsers stumble over. The destination stays nobody's.
func testForeignLies(t *testing.T, r *rig) {
	for _, f := range families {
		whole := build(t, frame.Frame{Src: withPort(f.client, 40000), Dst: withPort(f.router, 22), Flags: frame.SYN, Options: frame.NOPs(8)})
		for i := 12; i < len(whole); i++ {
			for _, v := range []byte{0, 1, 0x0f, 0x40, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0x81, 0xff} {
				in := append([]byte(nil), whole...)
				in[i] = v
				r.untouched(t, r.ext, in)
			}
		}
	}
}
