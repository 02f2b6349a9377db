package loader

import (
	"fmt"
	"testing"

	"sluice/internal/nettest/frame"
)

// outcome is what becomes of a frame.
type outcome int

const (
	goesOn  outcome = iota // translated, sent on and counted
	passed                 // to the stack, untouched
	refused                // dropped, and answered by a reset
	silent                 // dropped
)

// step is one frame of a connection and all that it does.
type step struct {
	say   string
	from  side
	flags frame.Flags
	data  string
	// again repeats the numbers of the side's last segment.
	again bool
	// tweak changes the frame before it is sent.
	tweak func(*frame.Frame)
	// forged is sent by another than the client: the numbers do not move on.
	forged bool
	// first says that hide takes a source towards the backend with this frame.
	first bool

	does outcome
	why  string // drop reason of refused and silent
	// member and service are what is counted beyond the packet itself.
	member  MemberCounters
	service ServiceCounters
	// state is that of the entries afterwards, 0 = there is none.
	state FlowState
	// lone says that the entry is another's just now: an earlier connection's,
	// or one direction's alone.
	lone bool
}

// play runs the steps of a connection. Where answers do not come through us,
// the backend's frames only move the numbers on.
func (c *talk) play(t *testing.T, steps []step) {
	t.Helper()
	for i, s := range steps {
		what := fmt.Sprintf("step %d: %s", i+1, s.say)
		if s.say == "" {
			what = fmt.Sprintf("step %d: flags %#x of the %s", i+1, s.flags, s.from)
		}
		c.step(t, s)
		if t.Failed() {
			t.Fatalf("in %s", what)
		}
	}
}

func (c *talk) step(t *testing.T, s step) {
	t.Helper()
	at, f := c.next(s)
	if s.from == fromBackend && c.svc.Mode.OneWay() {
		return
	}
	in := build(t, f)
	if s.does == goesOn {
		defer func() { c.note(s.from, f, c.state(t) != 0) }()
	}
	if s.first && c.svc.Mode == ModeNAT && !c.svc.KeepClient {
		c.stepFirst(t, s, at, f)
		return
	}
	want := expected{counts: c.counts(s, in)}
	switch s.does {
	case goesOn:
		want.verdict, want.out = c.forwarded(s.from), build(t, c.translated(s.from, f))
		if c.to.Local {
			want.verdict, want.out = xdpPass, in
		} else if s.from == fromClient {
			want.out = c.wrapped(t, c.to, c.client, want.out)
		}
	case passed:
		want.verdict, want.out = xdpPass, in
	case refused:
		want.verdict, want.out = xdpTX, build(t, answer(f))
	case silent:
		want.verdict = xdpDrop
	}
	c.check(t, at, in, want)
	c.checkEntry(t, s)
}

// stepFirst is a step whose frame shows the source only when it is out.
func (c *talk) stepFirst(t *testing.T, s step, at iface, f frame.Frame) {
	t.Helper()
	in := build(t, f)
	out := c.check(t, at, in, expected{verdict: c.forwarded(s.from), counts: c.counts(s, in)})
	c.learn(t, out)
	if want := build(t, c.translated(s.from, f)); string(out) != string(want) {
		t.Fatalf("out:\n%s\nwant:\n%s", show(out), show(want))
	}
	c.checkEntry(t, s)
}

// next is the frame of a step.
func (c *talk) next(s step) (iface, frame.Frame) {
	own := &c.up
	if s.from == fromBackend {
		own = &c.down
	}
	before := *own
	if s.again {
		own.next = own.last
	}
	at, f := c.segment(s.from, s.flags, s.data)
	if s.tweak != nil {
		s.tweak(&f)
	}
	if s.forged || s.does == silent || s.does == refused {
		*own = before
	}
	return at, f
}

// counts is what a step counts.
func (c *talk) counts(s step, in []byte) tally {
	bytes, m, v := uint64(ipLength(in)), s.member, s.service
	switch {
	case s.does == passed:
		return tally{}
	case s.does != goesOn:
		return c.drops(s, bytes)
	case s.from == fromClient:
		m.PacketsIn, m.BytesIn = 1, bytes
		v.PacketsIn, v.BytesIn = 1, bytes
		if s.flags&frame.SYN != 0 {
			m.SYNs, v.SYNs = 1, 1
		}
		if f, err := frame.Decode(in); err == nil && c.carries(f) != nil {
			m.Headers++
		}
	default:
		m.PacketsOut, m.BytesOut = 1, bytes
	}
	if s.flags&frame.RST != 0 {
		m.Resets++
	}
	out := tally{Members: map[MemberID]MemberCounters{c.member: m}}
	if v != (ServiceCounters{}) {
		out.Services = map[ServiceID]ServiceCounters{c.id: v}
	}
	return out
}

func (c *talk) drops(s step, bytes uint64) tally {
	out := tally{Drops: map[string]DropCounter{s.why: {Packets: 1, Bytes: bytes}}}
	if s.member != (MemberCounters{}) {
		out.Members = map[MemberID]MemberCounters{c.member: s.member}
	}
	if s.service != (ServiceCounters{}) {
		out.Services = map[ServiceID]ServiceCounters{c.id: s.service}
	}
	return out
}

// checkEntry looks at what the tables hold of the connection.
func (c *talk) checkEntry(t *testing.T, s step) {
	t.Helper()
	f, ok, err := c.d.Find(c.id, c.client)
	mustRig(t, err)
	if !ok {
		if s.state != 0 {
			t.Errorf("the flow has no entry, want one in state %d", s.state)
		}
		return
	}
	if f.State != s.state {
		t.Errorf("the entry is in state %d, want %d", f.State, s.state)
	}
	if s.lone {
		return
	}
	if f.Member != c.member || f.Service != c.id {
		t.Errorf("the entry is of member %d, service %d; want %d, %d", f.Member, f.Service, c.member, c.id)
	}
	if hidden := c.svc.Mode == ModeNAT && !c.svc.KeepClient; hidden != f.Source.IsValid() || hidden && f.Source != c.source {
		t.Errorf("entry has source %s, want %s", f.Source, c.source)
	}
	if c.svc.Mode != ModeNAT {
		return
	}
	if back := c.back(t); back == nil {
		t.Error("there is no entry for answers")
	} else if FlowState(back.Status&statusState) != s.state {
		t.Errorf("the entry for answers is in state %d, want %d", back.Status&statusState, s.state)
	}
}

// back is the entry for answers, nil where there is none.
func (c *talk) back(t testing.TB) *bpfFlow {
	t.Helper()
	_, f, err := c.d.find(c.backKey(), c.backHash())
	mustRig(t, err)
	return f
}

func (c *talk) backKey() bpfFlowKey {
	owner := flowReverse | c.d.hosts[c.member]
	return bpfFlowKey{Addr: toAddr(c.source.Addr()), Port: swap16(c.source.Port()), Owner: owner}
}

func (c *talk) backHash() uint64 {
	return c.d.key.endpoint(c.source, uint16(c.d.hosts[c.member]))
}
