package frame

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	client4 = netip.MustParseAddrPort("192.0.2.100:40000")
	vip4    = netip.MustParseAddrPort("192.0.2.3:22")
	client6 = netip.MustParseAddrPort("[2001:db8:1::100]:40000")
	vip6    = netip.MustParseAddrPort("[2001:db8:1::3]:22")
)

// compare treats addresses as values, and absent like empty.
var compare = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.EquateComparable(netip.AddrPort{}),
}

// frames are what Bytes can build and Decode can read.
var frames = map[string]Frame{
	"syn":       {Src: client4, Dst: vip4, Flags: SYN, Seq: 1000, Options: Options(MSS(1460), Timestamps(1, 0))},
	"syn v6":    {Src: client6, Dst: vip6, Flags: SYN | ECE | CWR, Seq: 1000, Options: Options(MSS(1440))},
	"payload":   {Src: client4, Dst: vip4, Flags: PSH | ACK, Seq: 1, Ack: 2, Payload: []byte("odd")},
	"urgent":    {Src: client6, Dst: vip6, Flags: URG | ACK, Urgent: 7, Window: 1, Payload: []byte("even")},
	"doff 15":   {Src: client4, Dst: vip4, Flags: ACK, Options: NOPs(40), Payload: []byte("x")},
	"padded":    {Src: client4, Dst: vip4, Flags: ACK, Length: 60},
	"padded v6": {Src: client6, Dst: vip6, Flags: RST, Length: 80},
	"tagged":    {VLANs: []uint16{100, 7}, Src: client4, Dst: vip4, Flags: ACK},
	"ip options": {
		Src: client4, Dst: vip4, Flags: SYN, IPOptions: []byte{148, 4, 0, 0, 1, 1, 1, 0}, TOS: 0x2e << 2, TTL: new(uint8(1)), ID: 99, DontFragment: true,
	},
	"bad tcp option": {Src: client4, Dst: vip4, Flags: SYN, Options: []byte{OptionMSS, 0, 1, 1}},
	"first fragment": {Src: client4, Dst: vip4, Flags: ACK, MoreFragments: true, ID: 5, Payload: make([]byte, 4)},
	"last fragment":  {Src: client4, Dst: vip4, Protocol: ProtoTCP, FragmentOffset: 65528, ID: 5, Payload: []byte("rest")},
	"fragment v6":    {Src: client6, Dst: vip6, Flags: ACK, MoreFragments: true, ID: 5, Payload: make([]byte, 4)},
	"flow label":     {Src: client6, Dst: vip6, Flags: ACK, TOS: 0xff, FlowLabel: 0xabcde},
	"rest v6":        {Src: client6, Dst: vip6, Protocol: ProtoTCP, FragmentOffset: 24, ID: 1 << 31, Payload: []byte("rest")},
	"extensions": {Src: client6, Dst: vip6, TOS: 0xb8, Flags: SYN, Extensions: []Extension{
		{ProtoHopByHop, []byte{1, 4, 0, 0, 0, 0}}, {ProtoDestination, make([]byte, 14)},
	}},
	"too big":    {Src: client4, Dst: vip4, ICMP: &ICMP{Type: 3, Code: 4, Rest: 1400}, Payload: []byte("quote")},
	"too big v6": {Src: client6, Dst: vip6, ICMP: &ICMP{Type: 2, Rest: 1280}, Payload: []byte("quote")},
	"udp":        {Src: client4, Dst: vip4, Protocol: ProtoUDP, Payload: []byte("raw udp")},
	"arp":        {EtherType: TypeARP, DstMAC: net.HardwareAddr{255, 255, 255, 255, 255, 255}, Payload: []byte{0, 1}},
}

func TestFramesComeBack(t *testing.T) {
	for name, f := range frames {
		t.Run(name, func(t *testing.T) {
			b, err := f.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			want := f.defaults()
			if !hasPorts(f) {
				want.Src = netip.AddrPortFrom(want.Src.Addr(), 0)
				want.Dst = netip.AddrPortFrom(want.Dst.Addr(), 0)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("decoded frame differs (-want +got):\n%s", diff)
			}
			if err := Verify(b); err != nil {
				t.Error(err)
			}
		})
	}
}

func hasPorts(f Frame) bool {
	return f.Src.IsValid() && f.defaults().Protocol == ProtoTCP && f.FragmentOffset == 0
}

// The wire form of one segment, byte by byte, so that builder and decoder cannot
// agree on something wrong.
func TestBytes(t *testing.T) {
	got := Must(Frame{
		Src: client4, Dst: vip4, VLANs: []uint16{100}, ID: 0x1234, DontFragment: true,
		Flags: SYN, Seq: 0x01020304, Window: 0x2000, Options: MSS(1460), Payload: []byte("hi"), Length: 66,
	})
	want := bytes.Join([][]byte{
		{2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 1}, {0x81, 0, 0, 100}, {8, 0},
		{0x45, 0, 0, 46, 0x12, 0x34, 0x40, 0, 64, 6, 0xa4, 0x2e}, {192, 0, 2, 100}, {192, 0, 2, 3},
		{0x9c, 0x40, 0, 22, 1, 2, 3, 4, 0, 0, 0, 0, 0x60, 0x02, 0x20, 0, 0xea, 0xf6, 0, 0},
		{2, 4, 5, 0xb4}, []byte("hi"), {0, 0},
	}, nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frame differs (-want +got):\n%s", diff)
	}
}

func TestLies(t *testing.T) {
	base := Frame{Src: client4, Dst: vip4, Flags: ACK, Payload: []byte("payload")}
	base6 := base
	base6.Src, base6.Dst = client6, vip6
	tests := map[string]struct {
		frame Frame
		lies  Lies
		at    int // where the frame differs
		want  byte
	}{
		"version":     {base, Lies{IPVersion: new(uint8(5))}, 14, 0x55},
		"version v6":  {base6, Lies{IPVersion: new(uint8(4))}, 14, 0x40},
		"ihl":         {base, Lies{IHL: new(uint8(15))}, 14, 0x4f},
		"length":      {base, Lies{IPLength: new(uint16(0x0719))}, 16, 0x07},
		"length v6":   {base6, Lies{IPLength: new(uint16(0xff00))}, 18, 0xff},
		"data offset": {base, Lies{DataOffset: new(uint8(4))}, 46, 0x40},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := tt.frame
			f.Lies = tt.lies
			got, honest := Must(f), Must(tt.frame)
			if got[tt.at] != tt.want {
				t.Errorf("byte %d is %#x, want %#x", tt.at, got[tt.at], tt.want)
			}
			if len(got) != len(honest) {
				t.Errorf("the lie changed the length from %d to %d", len(honest), len(got))
			}
			// Sums over the true lengths still come out right.
			if f.Src.Addr().Is4() && checksum(0, got[14:34]) != 0 {
				t.Error("the IPv4 checksum was not adapted")
			}
			if tt.lies.DataOffset != nil && checksum(f.defaults().pseudoHeader(len(got)-34), got[34:]) != 0 {
				t.Error("the TCP checksum was not adapted")
			}
		})
	}
}

func TestVerifySeesWrongChecksums(t *testing.T) {
	tests := map[string]struct {
		frame Frame
		want  string
	}{
		"ip":     {Frame{Src: client4, Dst: vip4, Flags: ACK, Lies: Lies{IPChecksum: true}}, "IPv4"},
		"tcp":    {Frame{Src: client4, Dst: vip4, Flags: ACK, Lies: Lies{Checksum: true}}, "TCP"},
		"tcp v6": {Frame{Src: client6, Dst: vip6, Flags: ACK, Lies: Lies{Checksum: true}}, "TCP"},
		"icmp":   {Frame{Src: client4, Dst: vip4, ICMP: &ICMP{Type: 8}, Lies: Lies{Checksum: true}}, "ICMP"},
		"icmpv6": {Frame{Src: client6, Dst: vip6, ICMP: &ICMP{Type: 128}, Lies: Lies{Checksum: true}}, "ICMPv6"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := Verify(Must(tt.frame))
			if err == nil || !strings.Contains(err.Error(), tt.want+" checksum") {
				t.Errorf("got error %v, want one about the %s checksum", err, tt.want)
			}
		})
	}
}

// The checksum of a first fragment covers what is in the others.
func TestVerifyLeavesFragmentsAlone(t *testing.T) {
	b := Must(Frame{Src: client4, Dst: vip4, Flags: ACK, MoreFragments: true, Lies: Lies{Checksum: true}})
	if err := Verify(b); err != nil {
		t.Error(err)
	}
}

func TestBytesRefuses(t *testing.T) {
	tests := map[string]Frame{
		"two families":          {Src: client4, Dst: vip6},
		"half a packet":         {Src: client4},
		"short mac":             {SrcMAC: net.HardwareAddr{1}},
		"odd ip options":        {Src: client4, Dst: vip4, IPOptions: make([]byte, 3)},
		"long tcp options":      {Src: client4, Dst: vip4, Options: make([]byte, 44)},
		"long flow label":       {Src: client6, Dst: vip6, FlowLabel: 1 << 20},
		"long id":               {Src: client4, Dst: vip4, ID: 1 << 16},
		"odd offset":            {Src: client4, Dst: vip4, FragmentOffset: 4},
		"offset beyond the end": {Src: client4, Dst: vip4, FragmentOffset: 1 << 16},
		"odd extension":         {Src: client6, Dst: vip6, Extensions: []Extension{{Body: make([]byte, 8)}}},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := f.Bytes(); err == nil {
				t.Error("Bytes accepted it")
			}
			defer func() {
				if recover() == nil {
					t.Error("Must did not panic")
				}
			}()
			Must(f)
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := Must(Frame{Src: client4, Dst: vip4, Flags: ACK, Payload: []byte("payload")})
	whole6 := Must(Frame{Src: client6, Dst: vip6, Flags: ACK})
	change := func(b []byte, at int, value byte) []byte {
		c := bytes.Clone(b)
		c[at] = value
		return c
	}
	tests := map[string][]byte{
		"empty":                  nil,
		"half an ethernet":       whole[:13],
		"half a tag":             Must(Frame{VLANs: []uint16{1}, Length: 15}),
		"no ip":                  whole[:14],
		"half an ip":             whole[:33],
		"half a tcp":             whole[:50],
		"payload cut":            whole[:len(whole)-1],
		"payload cut v6":         whole6[:len(whole6)-1],
		"half an ip v6":          whole6[:50],
		"ip version":             change(whole, 14, 0x55),
		"ip version v6":          change(whole6, 14, 0x50),
		"zero length":            change(whole, 17, 0),
		"reserved ip flag":       change(whole, 20, 0x80),
		"data offset 4":          change(whole, 46, 0x40),
		"data offset too long":   change(whole, 46, 0xf0),
		"reserved tcp bit":       change(whole, 46, 0x54),
		"protocol 0":             change(whole, 23, 0),
		"reserved fragment bits": change(Must(Frame{Src: client6, Dst: vip6, FragmentOffset: 8}), 57, 8|2),
		"fragment that is whole": change(Must(Frame{Src: client6, Dst: vip6, Protocol: ProtoUDP, FragmentOffset: 8}), 57, 0),
		"cut extension":          change(whole6, 20, ProtoHopByHop),
		"cut fragment":           Must(Frame{Src: client6, Dst: vip6, FragmentOffset: 8, Lies: Lies{IPLength: new(uint16(4))}}),
		"half an icmp": Must(Frame{
			Src: client4, Dst: vip4, ICMP: &ICMP{}, Length: 40, Lies: Lies{IPLength: new(uint16(26))},
		}),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if f, err := Decode(b); err == nil {
				t.Errorf("Decode accepted it: %+v", f)
			}
			if Verify(b) == nil {
				t.Error("Verify accepted it")
			}
		})
	}
}

func TestLength(t *testing.T) {
	f := Frame{Src: client4, Dst: vip4, Flags: ACK}
	for _, length := range []int{1, 14, 53, 54, 60, 1514} {
		f.Length = length
		if got := len(Must(f)); got != length {
			t.Errorf("frame has %d bytes, want %d", got, length)
		}
	}
}

func TestOptions(t *testing.T) {
	tests := map[string]struct{ got, want []byte }{
		"mss":        {MSS(1460), []byte{2, 4, 5, 0xb4}},
		"timestamps": {Timestamps(1, 2), []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}},
		"filled up":  {Options(Option(OptionWindowScale, 7), Option(OptionSACKPermitted)), []byte{3, 3, 7, 4, 2, 1, 1, 1}},
		"full":       {Options(MSS(1)), []byte{2, 4, 0, 1}},
		"none":       {Options(), nil},
	}
	for name, tt := range tests {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, tt.got, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	tests := map[string]Frame{
		"v4":      {Src: client4, Dst: vip4, Flags: ACK, Seq: 0x01020304, TTL: new(uint8(9)), Payload: []byte("payload")},
		"options": {VLANs: []uint16{3}, Src: client4, Dst: vip4, Flags: ACK, Seq: 7, IPOptions: NOPs(8)},
		"v6":      {Src: client6, Dst: vip6, Flags: ACK, Seq: 8},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			quote, err := Quote(f, 8)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ReadQuote(quote)
			if err != nil {
				t.Fatal(err)
			}
			want := Frame{Src: f.Src, Dst: f.Dst, Seq: f.Seq, TTL: f.defaults().TTL, Protocol: ProtoTCP}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("quoted packet differs (-want +got):\n%s", diff)
			}
			if _, err := ReadQuote(quote[:len(quote)-1]); err == nil {
				t.Error("a cut quote was accepted")
			}
			if _, err := Quote(f, 100); err == nil {
				t.Error("a quote longer than the packet was made")
			}
		})
	}
	quote, _ := Quote(tests["v4"], 8)
	quote[8]--
	if _, err := ReadQuote(quote); err == nil {
		t.Error("a quote with a wrong header checksum was accepted")
	}
}

// What Decode accepts it has understood: built again, it is the same frame.
func FuzzDecode(f *testing.F) {
	for _, frame := range frames {
		f.Add(Must(frame))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadQuote(b)
		decoded, err := Decode(b)
		if err != nil {
			return
		}
		if decoded.Src.IsValid() && Verify(b) != nil {
			return
		}
		again, err := Decode(Must(decoded))
		if err != nil {
			t.Fatalf("decoded frame cannot be built and decoded: %v", err)
		}
		if diff := cmp.Diff(decoded, again, compare); diff != "" {
			t.Errorf("frame changed on the way (-first +second):\n%s", diff)
		}
		if decoded.Src.IsValid() {
			if err := Verify(Must(decoded)); err != nil {
				t.Error(err)
			}
		}
	})
}

// A single changed byte has the effect on the checksum that summing all again
// would have.
func FuzzReplace(f *testing.F) {
	f.Add([]byte("some header of even length!!"), uint8(3), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, at, value uint8) {
		if len(b) < 4 || len(b)%2 != 0 || int(at)%len(b) < 2 || bytes.Count(b[2:], []byte{0}) == len(b)-2 {
			return
		}
		b = bytes.Clone(b)
		binary.BigEndian.PutUint16(b, 0)
		binary.BigEndian.PutUint16(b, checksum(0, b))
		replace(b, int(at)%len(b), 0, value)
		if got := checksum(0, b); got != 0 && got != 0xffff {
			t.Errorf("checksum is off by %#x", got)
		}
	})
}
