package loader

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"testing"

	"github.com/pires/go-proxyproto"

	"sluice/internal/nettest/frame"
)

// syn and synack begin the scenarios below; the ACK that completes is theirs.
func syn(options ...[]byte) step {
	return step{flags: frame.SYN, first: true, tweak: func(f *frame.Frame) { f.Options = frame.Options(options...) }}
}

func synack(options ...[]byte) step {
	return step{from: fromBackend, flags: frame.SYN | frame.ACK, tweak: func(f *frame.Frame) { f.Options = frame.Options(options...) }}
}

func completes(s step) step {
	s.member, s.state = opened, FlowEstablished
	if s.flags&frame.FIN != 0 {
		s.state = FlowHalfClosed
	}
	return s
}

// probe is a keepalive probe before the client has sent anything.
func probe(data string) step {
	return step{say: "keepalive probe", flags: frame.ACK, data: data, forged: true, state: FlowEstablished,
		tweak: func(f *frame.Frame) { f.Seq-- }}
}

// headerTalks are connections that begin with a header, told from the SYN. What
// each frame must become is the model's to say, see talk.withHeader.
var headerTalks = map[string][]step{
	"header lost once": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{flags: frame.ACK | frame.PSH, data: "SSH-2.0-client\r\n", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		{say: "no more", flags: frame.ACK | frame.PSH, data: "SSH-2.0-client\r\n", again: true, state: FlowEstablished},
	},
	"header lost twice": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{flags: frame.ACK | frame.PSH, data: "first", state: FlowEstablished},
		{flags: frame.ACK | frame.PSH, data: "first", again: true, state: FlowEstablished},
		{say: "the second segment waits at the backend", flags: frame.ACK, data: "second", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		{flags: frame.ACK, data: "third", state: FlowEstablished},
	},
	"second segment first": {
		syn(), synack(),
		completes(step{flags: frame.ACK, data: "x", forged: true, tweak: func(f *frame.Frame) { f.Seq += 1400 }}),
		{say: "the backend lacks all", from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		{flags: frame.ACK, data: "first", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
	},
	"silent client, the server speaks first": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{from: fromBackend, flags: frame.ACK | frame.PSH, data: "SSH-2.0-backend\r\n", state: FlowEstablished},
		{say: "its first number is the header's no more", flags: frame.ACK, state: FlowEstablished},
		{flags: frame.ACK, data: "SSH-2.0-client\r\n", state: FlowEstablished},
	},
	"the server speaks before it has the header": {
		syn(), synack(),
		completes(step{flags: frame.ACK, data: "lost", forged: true, tweak: func(f *frame.Frame) { f.Seq += 4 }}),
		{from: fromBackend, flags: frame.ACK | frame.PSH, data: "SSH-2.0-backend\r\n", state: FlowEstablished},
		{say: "the client acknowledges by its first number", flags: frame.ACK, state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
	},
	"SYN-ACK repeated": {
		syn(), synack(frame.MSS(1460)),
		completes(step{flags: frame.ACK}),
		{from: fromBackend, flags: frame.SYN | frame.ACK, again: true, tweak: withMSS, state: FlowEstablished},
		{flags: frame.ACK, state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
	},
	"keepalive probe before the header is acknowledged": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		probe(""), probe("x"), probe("two bytes are no probe, but they are sent"),
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		probe(""), probe("x"),
	},
	"FIN before any data": {
		syn(), synack(),
		completes(step{flags: frame.FIN | frame.ACK}),
		{flags: frame.FIN | frame.ACK, again: true, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.ACK, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
	},
	"FIN with the first data": {
		syn(), synack(),
		completes(step{flags: frame.FIN | frame.ACK, data: "all of it"}),
		{from: fromBackend, flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
	},
	"RST before any data": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{flags: frame.RST, member: closed, state: FlowClosed},
		{flags: frame.RST | frame.ACK, state: FlowClosed},
	},
	"RST to the SYN-ACK": {
		syn(), synack(),
		{flags: frame.RST},
		{flags: frame.RST | frame.ACK},
	},
	"RST with data": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{flags: frame.RST, data: "reason", member: closed, state: FlowClosed},
	},
	"RST behind the first data": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{flags: frame.ACK, data: "data", state: FlowEstablished},
		{say: "the backend expects another", flags: frame.RST, member: closed, state: FlowClosed},
		{say: "so it challenges, and this is the answer", flags: frame.RST, forged: true,
			tweak: func(f *frame.Frame) { f.Seq -= 4 }, state: FlowClosed},
	},
	"refused by the backend": {
		syn(),
		{from: fromBackend, flags: frame.RST | frame.ACK},
		{flags: frame.SYN, again: true},
		{from: fromBackend, flags: frame.RST | frame.ACK},
	},
	"urgent data first": {
		syn(), synack(),
		completes(step{flags: frame.ACK | frame.URG, data: "!now", tweak: func(f *frame.Frame) { f.Urgent = 1 }}),
	},
	"padded to 60 bytes": {
		syn(), synack(),
		completes(step{flags: frame.ACK, tweak: func(f *frame.Frame) { f.Length = 90 }}),
		{flags: frame.ACK, data: "x", tweak: func(f *frame.Frame) { f.Length = 90 }, state: FlowEstablished},
		{say: "probe", flags: frame.ACK, data: "x", forged: true, state: FlowEstablished,
			tweak: func(f *frame.Frame) { f.Seq--; f.Length = 90 }},
	},
	"acknowledgements of a part": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		partial(-1), partial(-4), partial(-30),
		{say: "still open", flags: frame.ACK, data: "x", state: FlowEstablished},
		partial(-51),
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		{say: "left over, not lifted any more", from: fromBackend, flags: frame.ACK, forged: true, state: FlowEstablished,
			tweak: func(f *frame.Frame) { f.Ack -= 3 }},
	},
	"acknowledgements of another time": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{from: fromBackend, flags: frame.ACK, forged: true, state: FlowEstablished, tweak: func(f *frame.Frame) { f.Ack += 1 << 17 }},
		{from: fromBackend, flags: frame.ACK, forged: true, state: FlowEstablished, tweak: func(f *frame.Frame) { f.Ack += 1 << 30 }},
		{from: fromBackend, flags: frame.ACK, forged: true, state: FlowEstablished, tweak: func(f *frame.Frame) { f.Ack -= 1000 }},
		{say: "still open", flags: frame.ACK, data: "x", state: FlowEstablished},
	},
	"spoofed SYN and RST before the header has arrived": {
		syn(), synack(),
		completes(step{flags: frame.ACK}),
		{flags: frame.SYN, forged: true, tweak: forge, state: FlowEstablished},
		{say: "challenge ACK", from: fromBackend, flags: frame.ACK, forged: true, state: FlowEstablished,
			tweak: func(f *frame.Frame) { f.Ack = 0xfffffff1 - 52 }},
		{say: "of a SYN that completes nothing", flags: frame.ACK, forged: true, state: FlowEstablished,
			tweak: func(f *frame.Frame) { forge(f); f.Seq++ }},
		{flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq += 1 << 21 }, state: FlowEstablished},
		{flags: frame.ACK, data: "first", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		{flags: frame.SYN, forged: true, tweak: forge, state: FlowEstablished},
		{say: "no more", flags: frame.ACK, data: "first", again: true, state: FlowEstablished},
	},
	"SACK of what came before the header": {
		syn(), synack(),
		completes(step{flags: frame.ACK, data: "xxxx", forged: true, tweak: func(f *frame.Frame) { f.Seq += 4 }}),
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished,
			tweak: func(f *frame.Frame) {
				f.Ack, f.Options = 0xfffffff1-52, frame.Options(frame.Option(5, 0, 0, 0, 5, 0, 0, 0, 9))
			}},
	},
}

// partial acknowledges less than the header.
func partial(by int32) step {
	return step{from: fromBackend, flags: frame.ACK, forged: true, state: FlowEstablished,
		tweak: func(f *frame.Frame) { f.Ack += uint32(by) }}
}

// testProxy: what the header of a connection does to its frames.
func testProxy(t *testing.T, r *rig) {
	r.stands(t, []kind{proxied}, func(t *testing.T, s stand) {
		for name, steps := range headerTalks {
			for which := range 2 {
				t.Run(name, func(t *testing.T) { s.talk(t, which).play(t, steps) })
			}
		}
	})
	r.stands(t, []kind{proxied}, testHeaderOffsets)
	r.stands(t, []kind{proxied}, testHeaderMTU)
	r.stands(t, []kind{proxied}, testHeaderSame)
	r.plain(t, []kind{proxied}, testHeaderParsed)
	r.plain(t, []kind{proxied}, testHeaderMSS)
	r.plain(t, []kind{proxied}, testHeaderOptions)
	r.plain(t, []kind{proxied}, testHeaderSigned)
	r.plain(t, []kind{proxied}, testHeaderCorrupt)
	r.plain(t, []kind{hide, proxied}, testHeaderSettings)
	r.plain(t, []kind{proxied}, testHeaderQuoted)
}

// testHeaderOffsets: the header stands behind TCP headers of every length.
func testHeaderOffsets(t *testing.T, s stand) {
	for words := range 11 {
		options := func(f *frame.Frame) { f.Options = frame.NOPs(4 * words) }
		c := s.talk(t, words%2)
		c.play(t, []step{
			{flags: frame.SYN, first: true, tweak: options},
			{from: fromBackend, flags: frame.SYN | frame.ACK, tweak: options},
			completes(step{flags: frame.ACK, tweak: options}),
			{flags: frame.ACK | frame.PSH, data: "odd", tweak: options, state: FlowEstablished},
			{flags: frame.ACK, data: "x", forged: true, tweak: func(f *frame.Frame) { options(f); f.Seq -= 4 }, state: FlowEstablished},
			{from: fromBackend, flags: frame.ACK, tweak: options, state: FlowEstablished},
		})
	}
}

// testHeaderMTU: a first segment that is full leaves room, and where it does not
// the header goes alone; the client repeats the rest.
func testHeaderMTU(t *testing.T, s stand) {
	c := s.talk(t, 0)
	room := 1500 - ipAndTCP(c.client) - int(headerLen(c.client))
	for _, size := range []int{room, room + 1, 1500 - ipAndTCP(c.client), 63, 64, 65, 127, 128, 1399} {
		c = s.talk(t, 0)
		fill := func(f *frame.Frame) { f.Payload = bytes.Repeat([]byte("full"), 400)[:size] }
		c.play(t, []step{
			syn(), synack(frame.MSS(1460)),
			completes(step{flags: frame.ACK | frame.PSH, forged: true, tweak: fill}),
			{flags: frame.ACK | frame.PSH | frame.URG, forged: true, tweak: func(f *frame.Frame) { fill(f); f.Urgent = 7 }, state: FlowEstablished},
			{flags: frame.ACK | frame.FIN, forged: true, tweak: fill, state: FlowHalfClosed},
			{say: "probe as long", flags: frame.ACK, forged: true, tweak: func(f *frame.Frame) { fill(f); f.Seq-- }, state: FlowHalfClosed},
			{flags: frame.SYN, forged: true, tweak: func(f *frame.Frame) { fill(f); f.Seq = 77 }, state: FlowHalfClosed},
		})
	}
}

// testHeaderParsed: a parser others wrote reads the header, and the connection
// id is the one that flows and events show.
func testHeaderParsed(t *testing.T, s stand) {
	c := s.talk(t, 0)
	c.play(t, handshake()[:2])
	at, f := c.segment(fromClient, frame.ACK|frame.PSH, "SSH-2.0-client\r\n")
	_, out := s.mustRun(t, at, build(t, f))
	sent, err := frame.Decode(out)
	mustRig(t, err)
	mustRig(t, frame.Verify(out))
	stream := bufio.NewReader(bytes.NewReader(sent.Payload))
	h, err := proxyproto.Read(stream)
	mustRig(t, err)
	rest, err := io.ReadAll(stream)
	mustRig(t, err)
	tlvs, err := h.TLVs()
	mustRig(t, err)
	if src, dst := h.SourceAddr.String(), h.DestinationAddr.String(); src != c.client.String() || dst != c.svc.Listen.String() {
		t.Errorf("the header says %s to %s, want %s to %s", src, dst, c.client, c.svc.Listen)
	}
	if string(rest) != "SSH-2.0-client\r\n" {
		t.Errorf("behind the header comes %q", rest)
	}
	if got := hex.EncodeToString(tlvs[0].Value); tlvs[0].Type != proxyproto.PP2_TYPE_UNIQUE_ID || got != c.connectionID().String() {
		t.Errorf("TLV %#x is %s, want the connection id %s", tlvs[0].Type, got, c.connectionID())
	}
	flow, _, err := s.d.Find(s.id, c.client)
	mustRig(t, err)
	if flow.ID != c.connectionID() {
		t.Errorf("the flow's id is %q, want %s", flow.ID, c.connectionID())
	}
}

// testHeaderMSS: the MSS leaves room for the header wherever it stands.
func testHeaderMSS(t *testing.T, s stand) {
	for name, options := range map[string][][]byte{
		"first":            {frame.MSS(1460), frame.Timestamps(1, 2)},
		"behind another":   {frame.Timestamps(1, 2), frame.MSS(1460)},
		"at an odd offset": {frame.NOPs(1), frame.MSS(1460)},
		"last":             {frame.Option(3, 7), frame.Timestamps(1, 9), frame.Option(4), frame.NOPs(17), frame.MSS(1440)},
		"beyond the MTU":   {frame.MSS(8960)},
		"small":            {frame.MSS(536)},
		"absent":           {frame.Timestamps(1, 2)},
		"none at all":      nil,
		"behind the end":   {frame.Timestamps(1, 2), {0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			s.talk(t, 0).play(t, []step{syn(), synack(options...), completes(step{flags: frame.ACK})})
		})
	}
	for name, options := range map[string][]byte{
		"tiny":              {2, 4, 0, 40},
		"of wrong length":   {2, 3, 5, 2},
		"beyond the header": {1, 2, 4, 5},
		"of no length":      {8, 0, 2, 4, 5, 180, 0, 0},
		"behind the end":    {0, 2, 4, 5, 180, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.talk(t, 0)
			c.play(t, []step{syn()})
			at, f := c.segment(fromBackend, frame.SYN|frame.ACK, "")
			want := c.translated(fromBackend, f)
			f.Options, want.Options = options, bytes.Clone(options)
			if name == "tiny" {
				want.Options[3] = 28
			}
			in := build(t, f)
			c.check(t, at, in, expected{verdict: c.forwarded(fromBackend), out: build(t, want),
				counts: c.counts(step{from: fromBackend, flags: f.Flags}, in)})
		})
	}
}

// testHeaderOptions: what would put bytes where the header belongs, or number
// them twice, is taken out of the SYN. All else stays.
func testHeaderOptions(t *testing.T, s stand) {
	nops := frame.NOPs
	for name, o := range map[string]struct{ in, out []byte }{
		"MPTCP":             {frame.Options(frame.MSS(1460), frame.Option(30, 0, 1)), frame.Options(frame.MSS(1460), nops(4))},
		"MPTCP, long":       {frame.Option(30, 0, 0x81, 1, 2, 3, 4, 5, 6, 7, 8), nops(12)},
		"TFO asks":          {frame.Options(frame.Option(34), frame.MSS(1460)), frame.Options(nops(2), frame.MSS(1460))},
		"TFO cookie":        {frame.Options(nops(1), frame.Option(34, 1, 2, 3, 4, 5, 6, 7, 8), frame.MSS(9)), frame.Options(nops(11), frame.MSS(9))},
		"both":              {frame.Options(frame.Option(34), frame.Option(30, 0)), append(nops(5), 1, 1, 1)},
		"cut at the end":    {[]byte{1, 1, 30, 12}, []byte{1, 1, 30, 12}},
		"behind the end":    {[]byte{0, 34, 2, 0}, []byte{0, 34, 2, 0}},
		"in another's data": {frame.Option(254, 34, 2, 30, 4, 19, 18), frame.Option(254, 34, 2, 30, 4, 19, 18)},
		"of all lengths":    {frame.Option(30, make([]byte, 38)...), nops(40)},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.talk(t, 0)
			at, f := c.segment(fromClient, frame.SYN, "early data")
			f.Options = o.in
			_, out := c.mustRun(t, at, build(t, f))
			c.learn(t, out)
			want := c.translated(fromClient, f)
			want.Options = o.out
			if b := build(t, want); !bytes.Equal(out, b) {
				t.Errorf("out:\n%s\nwant:\n%s", show(out), show(b))
			}
		})
	}
}

// testHeaderSigned: a signed connection is refused at once, by name.
func testHeaderSigned(t *testing.T, s stand) {
	for name, option := range map[string][]byte{
		"MD5": frame.Option(19, make([]byte, 16)...),
		"AO":  frame.Option(29, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := s.talk(t, 0)
			signed := func(f *frame.Frame) { f.Options = frame.Options(frame.MSS(1460), option) }
			c.play(t, []step{{flags: frame.SYN, tweak: signed, does: refused, why: "tcp_signature", service: refusedOnce}})
			if _, ok := c.embryo(t, c.forwardKey()); ok {
				t.Error("the refused SYN left a handshake")
			}
		})
	}
}

// testHeaderCorrupt: what came with a wrong checksum leaves with a wrong one.
func testHeaderCorrupt(t *testing.T, s stand) {
	for name, tweak := range map[string]func(*frame.Frame){
		"header in front": func(f *frame.Frame) { f.Payload = []byte("x") },
		"probe":           func(f *frame.Frame) { f.Seq--; f.Payload = []byte("x") },
		"header alone":    func(f *frame.Frame) { f.Payload = make([]byte, 1430) },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.talk(t, 0)
			c.play(t, handshake())
			at, f := c.segment(fromClient, frame.ACK, "")
			tweak(&f)
			for _, lie := range []bool{false, true} {
				f.Lies.Checksum = lie
				_, out := c.mustRun(t, at, build(t, f))
				if err := frame.Verify(out); (err != nil) != lie {
					t.Errorf("checksum wrong on the way in: %t; on the way out: %v", lie, err)
				}
			}
		})
	}
}

// testHeaderSettings: a connection keeps what it began with, whatever the
// service becomes.
func testHeaderSettings(t *testing.T, s stand) {
	for cut := range 3 {
		c := s.talk(t, 0)
		c.play(t, handshake()[:cut+1])
		other := s.svc
		other.Proxy = !other.Proxy
		mustRig(t, s.d.PutService(s.id, other))
		c.play(t, handshake()[cut+1:])
		c.play(t, []step{{flags: frame.ACK, data: "first", state: FlowEstablished}})
		c.play(t, natTalks["FIN of the backend first"])
		mustRig(t, s.d.PutService(s.id, s.svc))
	}
}

// testHeaderQuoted: an error about a packet with the header quotes the number
// that the client gave it, and an MTU leaves room for the header.
func testHeaderQuoted(t *testing.T, s stand) {
	c := s.established(t, 0)
	length := headerLen(c.client)
	_, sent := c.segment(fromClient, frame.ACK, "data of a client")
	for name, e := range icmpErrors(s.client.Is4()) {
		for _, mtu := range []uint32{1400, 1290, 0} {
			for seq, seen := range map[uint32]uint32{
				c.header.isn + 1: c.header.isn + 1 - length, c.header.isn: c.header.isn - length,
				c.header.isn + 2: c.header.isn + 2, c.header.isn - length - 1: c.header.isn - length - 1,
			} {
				e := e
				ptb := e.Rest == 1400
				if ptb {
					e.Rest = mtu
				}
				quoted := sent
				quoted.Src, quoted.Dst, quoted.Seq = c.source, c.to.Addr, seen
				at, in := c.report(fromBackend, s.near.Addr(), e, packet(t, quoted, 20))
				in.Dst = withPort(c.source.Addr(), 0)
				want := hops(in, 1)
				want.SrcMAC, want.DstMAC = c.hops[c.via].Source, c.hops[c.via].Destination
				want.Src, want.Dst = withPort(s.vip, 0), withPort(c.client.Addr(), 0)
				if ptb && mtu > 0 && seq != seen {
					told := e
					told.Rest = mtu - length
					if s.client.Is6() {
						told.Rest = max(1280, told.Rest)
					}
					want.ICMP = &told
				}
				quoted.Src, quoted.Dst, quoted.Seq = c.client, c.svc.Listen, seq
				want.Payload = packet(t, quoted, 20)
				t.Run(name, func(t *testing.T) {
					s.check(t, at, build(t, in), expected{verdict: c.forwarded(fromBackend), out: build(t, want), counts: c.reported(fromBackend, build(t, in))})
				})
			}
		}
	}
}
