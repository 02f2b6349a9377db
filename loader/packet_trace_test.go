package loader

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"sluice/internal/nettest/frame"
)

// trace is a random sequence of packets and of everything that changes a ring,
// played to two dataplanes: one that passes the table by where it may, and one
// that always looks up. After each step the invariant of the ring must hold, and
// every packet must have gone to the same member in both.
type trace struct {
	testing.TB
	rng        *rand.Rand
	stands     [2]stand // short, always
	members    []MemberID
	weights    map[MemberID]int
	clients    []*wire
	log        []string
	misses     int // packets that passed the table by
	age        uint32
	unfinished bool // a sweep has turned and not yet settled
}

// wire is a client as the trace knows it.
type wire struct {
	addr  netip.AddrPort
	isn   uint32
	next  uint32
	open  bool
	since uint32 // age of the world at its last packet
	to    MemberID
}

const (
	traceMembers = 6
	traceEntries = 12 // that clients fall on
	traceClients = 48
)

// TestTrace: see trace.
func TestTrace(t *testing.T) {
	steps, seeds := 1500, uint64(4)
	if testing.Short() {
		steps, seeds = 200, 1
	}
	short := newRig(t)
	always := newRig(t, func(o *Options) { o.AlwaysLookUp = true })
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			x := newTrace(t, short, always, seed)
			for range steps {
				x.step()
				if t.Failed() {
					t.Fatalf("after\n%s", strings.Join(x.log[max(0, len(x.log)-40):], "\n"))
				}
			}
			t.Logf("%d steps, %d packets passed the table by", steps, x.misses)
			if x.misses < steps/30 {
				t.Errorf("only %d packets passed the table by: the trace shows nothing", x.misses)
			}
		})
	}
}

func newTrace(t testing.TB, short, always *rig, seed uint64) *trace {
	x := &trace{TB: t, rng: rand.New(rand.NewPCG(seed, 7)), weights: map[MemberID]int{}}
	for i, r := range []*rig{short, always} {
		f := families[seed%2]
		s := stand{rig: r, family: f, kind: dsr, id: dsr.id(f), svc: dsr.service(f)}
		s.clear(t)
		for m := range traceMembers {
			id, hop := MemberID(1000+m), NextHopID(20+m)
			mustRig(t, r.d.PutNextHop(hop, NextHop{
				Interface: r.ext.index, Source: r.ext.mac, Destination: net.HardwareAddr{2, 0, 0, 9, 0, byte(m)}, MTU: 1500, Ready: true,
			}))
			b := s.near.Addr().As16()
			b[15] = byte(100 + m)
			mustRig(t, r.d.PutMember(id, Member{Service: s.id, Addr: netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), 22), NextHop: hop}))
			if i == 0 {
				x.members = append(x.members, id)
				x.weights[id] = 1
			}
		}
		x.stands[i] = s
	}
	x.lay()
	x.findClients()
	return x
}

// findClients takes some that share ring entries, so that the flows of one meet
// the marks of another.
func (x *trace) findClients() {
	s := x.stands[0]
	per := map[int]int{}
	for n := 0; len(x.clients) < traceClients; n++ {
		b := s.client.As16()
		b[13], b[14], b[15] = byte(n>>16), byte(n>>8), byte(n)
		c := netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), uint16(1024+n%60000))
		at := s.d.FlowHash(c, s.svc)
		if per[at] > 0 || len(per) < traceEntries {
			per[at]++
			x.clients = append(x.clients, &wire{addr: c})
		}
		if n > 1<<22 {
			x.Fatal("no clients share entries")
		}
		if len(per) == traceEntries && n%97 == 0 && len(x.clients) < traceClients/2 {
			// Fill up with clients of their own.
			per[at]++
			x.clients = append(x.clients, &wire{addr: c})
		}
	}
}

// lay makes the rings what the weights say, by rendezvous.
func (x *trace) lay() {
	for _, s := range x.stands {
		r := s.ring(x)
		for i := range RingEntries {
			var best MemberID
			top := uint64(0)
			for _, m := range x.members {
				for w := range x.weights[m] {
					if score := (uint64(i)<<24|uint64(m)<<4|uint64(w))*0x9e3779b97f4a7c15 ^ uint64(m)<<40; score>>7 >= top {
						top, best = score>>7, m
					}
				}
			}
			r.Set(i, best)
		}
	}
}

func (x *trace) note(format string, args ...any) { x.log = append(x.log, fmt.Sprintf(format, args...)) }

// step does one thing to both and looks at what became of it.
func (x *trace) step() {
	switch n := x.rng.IntN(80); {
	case n < 62:
		x.packet()
	case n < 65:
		x.change()
	case n < 67:
		x.pass(uint32(1 + x.rng.IntN(12)))
	case n == 67:
		x.pass(100)
	case n == 68:
		x.pass(3000)
	case n < 77:
		x.sweep()
	case n == 77:
		x.adopt()
	case n == 78:
		for _, s := range x.stands {
			_, err := s.d.Expire(x.Context())
			mustRig(x, err)
		}
		x.note("expire")
	default:
		from := x.rng.IntN(RingEntries)
		for _, s := range x.stands {
			s.ring(x).Refresh(from, from+RingEntries/8)
		}
		x.note("refresh")
	}
	for i := range x.stands {
		x.invariant(i)
	}
}

// change is all that an operator, health or settings do to a ring: a member
// comes, goes, or gets another weight, and may come back.
func (x *trace) change() {
	m := x.members[x.rng.IntN(len(x.members))]
	x.weights[m] = x.rng.IntN(4) * x.rng.IntN(2)
	x.lay()
	x.note("weight of %d is %d", m, x.weights[m])
}

// pass lets time go by: all that is remembered gets older.
func (x *trace) pass(ticks uint32) {
	x.age += ticks
	for _, s := range x.stands {
		lines := s.mapFlows(x)
		for i := range lines {
			if lines[i].Word != 0 {
				lines[i].Seen -= ticks
				lines[i].Opened -= ticks
			}
		}
		x.eachEmbryo(s, func(key bpfFlowKey, e bpfEmbryo) {
			e.Made -= ticks
			mustRig(x, s.d.objs.Embryos.Put(&key, &e))
		})
	}
	x.note("%d ticks pass", ticks)
}

func (x *trace) eachEmbryo(s stand, visit func(bpfFlowKey, bpfEmbryo)) {
	var keys []bpfFlowKey
	var values []bpfEmbryo
	var key bpfFlowKey
	var e bpfEmbryo
	it := s.d.objs.Embryos.Iterate()
	for it.Next(&key, &e) {
		keys, values = append(keys, key), append(values, e)
	}
	mustRig(x, it.Err())
	for i := range keys {
		visit(keys[i], values[i])
	}
}

// sweep is half of one: what was turned before is settled, what is new turned.
// Between the look and the settling the world goes on.
func (x *trace) sweep() {
	var found [2]map[ServiceID]*Found
	for i, s := range x.stands {
		var err error
		found[i], err = s.d.Doubts(x.Context())
		mustRig(x, err)
	}
	x.note("sweep looks")
	for range x.rng.IntN(3) {
		[]func(){x.packet, x.packet, x.packet, x.packet, x.packet, x.change, x.adopt}[x.rng.IntN(7)]()
	}
	for i, s := range x.stands {
		r := s.ring(x)
		if x.unfinished {
			r.Settle(Moved|Pending, found[i][s.id])
		}
		r.Turn(Moved | Pending)
	}
	x.unfinished = true
	x.note("sweep settles")
}

// adopt is a flow of another gateway, whose ring says something else.
func (x *trace) adopt() {
	c := x.clients[x.rng.IntN(len(x.clients))]
	m := x.members[x.rng.IntN(len(x.members))]
	var made [2]int
	for i, s := range x.stands {
		sum, err := s.d.ImportFlows([]FlowRecord{{
			FlowKey: FlowKey{Client: c.addr, Service: s.id}, Member: m, State: FlowEstablished, Flags: FlowAdvanced,
		}})
		mustRig(x, err)
		made[i] = sum.Made
	}
	if made[0] != made[1] {
		x.Errorf("imported %d", made)
	}
	if made[0] == 1 {
		c.open, c.next, c.since, c.to = true, x.rng.Uint32(), x.age, m
	}
	x.note("%s imported at %d: %d", c.addr, m, made)
}

func (s stand) tick(t testing.TB) uint32 {
	now, err := monotonic()
	mustRig(t, err)
	return now
}

// packet is one of some client: in its place, or forged by somebody.
func (x *trace) packet() {
	c := x.clients[x.rng.IntN(len(x.clients))]
	seq, flags, data := c.next, frame.ACK, ""
	what := "ACK"
	switch n := x.rng.IntN(48); {
	case !c.open || n == 0:
		c.isn = x.rng.Uint32()
		what, seq, flags = "SYN", c.isn, frame.SYN
		c.open, c.next = true, c.isn+1
	case n < 3:
		what, flags = "FIN", frame.FIN|frame.ACK
		c.next++
	case n == 4:
		what, flags, c.open = "RST", frame.RST, false
	case n == 5:
		what, flags, seq = "forged RST", frame.RST, x.rng.Uint32()
	case n == 6:
		what, flags, seq = "forged FIN", frame.FIN|frame.ACK, x.rng.Uint32()
	case n == 7:
		what, flags, seq = "forged SYN", frame.SYN, x.rng.Uint32()
	case n < 36:
		what, data = "data", "some data"
		c.next += uint32(len(data))
	}
	to := [2]MemberID{x.send(0, c, flags, seq, data), x.send(1, c, flags, seq, data)}
	x.note("%s of %s, entry %d: to %d", what, c.addr, x.stands[0].d.FlowHash(c.addr, x.stands[0].svc), to)
	if to[0] != to[1] {
		x.Errorf("%s of %s went to %d by the short way, to %d by the table", what, c.addr, to[0], to[1])
	}
	c.since, c.to = x.age, to[0]
}

// send returns the member a packet went to, 0 where it was not sent on.
func (x *trace) send(i int, c *wire, flags frame.Flags, seq uint32, data string) MemberID {
	s := x.stands[i]
	if flags&(frame.SYN|frame.FIN|frame.RST) == 0 && i == 0 && !s.ring(x).InDoubt(s.d.FlowHash(c.addr, s.svc)) {
		x.misses++
	}
	in := build(x, frame.Frame{
		SrcMAC: routerMAC, DstMAC: s.ext.mac, Src: c.addr, Dst: s.svc.Listen, Flags: flags, Seq: seq, Ack: 1, Window: 502, Payload: []byte(data),
	})
	o := ebpf.RunOptions{
		Data: in, DataOut: make([]byte, maxFrame),
		Context: xdpContext{DataEnd: uint32(len(in)), IngressIfindex: uint32(s.ext.index)},
	}
	var v uint32
	var err error
	s.inside(func() { v, err = s.d.objs.Steer.Run(&o) })
	mustRig(x, err)
	if verdict(v) != xdpTX || !slices.Equal(o.DataOut[:5], []byte{2, 0, 0, 9, 0}) {
		return 0
	}
	return x.members[o.DataOut[5]]
}

// invariant: a ring entry without marks has no living flow, embryo or
// established, that names another member.
func (x *trace) invariant(i int) {
	s := x.stands[i]
	r, now := s.ring(x), s.tick(x)
	check := func(what string, key bpfFlowKey, m uint32) {
		at := s.d.FlowHash(fromAddrPort(key.Addr, key.Port), s.svc)
		if key.Owner == uint32(s.id) && r.Get(at) != MemberID(m) && !r.InDoubt(at) {
			x.Errorf("entry %d names member %d without a mark, a living %s of %s names %d",
				at, r.Get(at), what, fromAddrPort(key.Addr, key.Port), m)
		}
	}
	lines := s.mapFlows(x)
	for n := range lines {
		// A tick that is counted between here and the program must not matter.
		if f := &lines[n]; f.Word&lineLive != 0 && !s.d.absent(f, now-1) {
			check("flow", bpfFlowKey{Addr: f.Addr, Port: f.Port, Owner: f.Owner}, uint32(f.Member))
		}
	}
	x.eachEmbryo(s, func(key bpfFlowKey, e bpfEmbryo) {
		if int32(now-1-e.Made) <= int32(s.d.embryo) {
			check("embryo", key, e.Member)
		}
	})
}
