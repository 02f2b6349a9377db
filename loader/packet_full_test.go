package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// occupant is a flow of somebody else that holds a place in the table. Its
// member is one that no other case counts.
func (s stand) occupant(state FlowState) bpfFlow {
	now, err := monotonic()
	if err != nil {
		panic(err)
	}
	return bpfFlow{
		Word: lineLive | 0x55555, Owner: uint32(s.id), Addr: toAddr(s.router), Port: 1,
		Member: uint16(membersOf(s.id)[1]), Seen: now, Opened: now, Status: uint32(state),
	}
}

// occupyLines fills every line with established flows.
func (s stand) occupyLines(t *testing.T) {
	t.Helper()
	lines := s.mapFlows(t)
	for i := range lines {
		lines[i] = s.occupant(FlowEstablished)
	}
}

// occupy fills the overflow table, too.
func (s stand) occupy(t *testing.T) {
	t.Helper()
	s.occupyLines(t)
	n := s.d.objs.FlowsOverflow.MaxEntries()
	keys, flows := make([]bpfFlowKey, n), make([]bpfFlow, n)
	for i := range keys {
		flows[i] = s.occupant(FlowEstablished)
		keys[i] = bpfFlowKey{Addr: flows[i].Addr, Port: uint16(i), Owner: uint32(i)}
	}
	_, err := s.d.objs.FlowsOverflow.BatchUpdate(keys, flows, nil)
	mustRig(t, err)
}

// way puts a flow into one of the four lines where the connection's entry may
// stand.
func (c *talk) way(t *testing.T, n uint32, f bpfFlow) {
	t.Helper()
	mustRig(t, c.d.objs.Flows.Put(uint32(c.forwardHash())&(c.d.lines-1)^n, &f))
}

// testFull: a full table refuses new flows where they need an entry, and leaves
// them unprotected where they do not. The living are never displaced.
func testFull(t *testing.T, r *rig) {
	r.plain(t, natKinds, testFullNAT)
	r.plain(t, []kind{dsr}, testFullDSR)
	r.plain(t, steering, testFullWays)
	r.plain(t, []kind{dsr}, testDisplaced)
	r.plain(t, steering, testDisplacedExpired)
	r.plain(t, natKinds, testOverflow)
}

func testFullNAT(t *testing.T, s stand) {
	defer s.clear(t)
	s.occupy(t)
	c := s.talk(t, 0)
	c.play(t, handshake()[:2])
	s.events(t)
	full := step{flags: frame.ACK, does: silent, why: "table_full", service: refusedOnce}
	c.play(t, []step{full, full})
	event := Event{Kind: EventRefused, Reason: "table_full", Service: s.id, Member: c.member, Client: c.client}
	s.wantEvents(t, event, event)
	// As soon as there is room, the handshake completes.
	s.clearFlows(t)
	c.play(t, []step{{flags: frame.ACK, member: opened, state: FlowEstablished}})
	c.play(t, natTalks["FIN of the backend first"])
}

func testFullDSR(t *testing.T, s stand) {
	defer s.clear(t)
	s.occupy(t)
	c := s.talk(t, 0)
	c.play(t, []step{
		{flags: frame.SYN},
		{flags: frame.ACK, service: ServiceCounters{FlowsUnprotected: 1}},
		{say: "by the ring alone", flags: frame.ACK, data: "x"},
		{flags: frame.FIN | frame.ACK},
		{flags: frame.RST},
	})
}

// testFullWays: the lines of a flow being taken is not the end.
func testFullWays(t *testing.T, s stand) {
	defer s.clear(t)
	c := s.talk(t, 0)
	for n := range uint32(flowWays) {
		c.way(t, n, s.occupant(FlowEstablished))
	}
	if s.svc.Mode.OneWay() {
		c.play(t, dsrHandshake())
	} else {
		c.play(t, handshake())
	}
	line, _, err := c.d.find(c.forwardKey(), c.forwardHash())
	mustRig(t, err)
	if line != NoLine {
		t.Errorf("the flow stands in line %d; all its lines were taken", line)
	}
	c.both(t, step{}, step{})
}

// testDisplaced: a handshake seen from one side only gives way to another, and
// a proven flow does not.
func testDisplaced(t *testing.T, s stand) {
	defer s.clear(t)
	s.occupy(t)
	c := s.talk(t, 0)
	c.way(t, 2, s.occupant(FlowYoung))
	young := MemberID(s.occupant(FlowYoung).Member)
	at, f := c.segment(fromClient, frame.SYN, "")
	c.mustRun(t, at, build(t, f))
	at, f = c.segment(fromClient, frame.ACK, "")
	in := build(t, f)
	counts := c.counts(step{flags: frame.ACK, member: opened, service: ServiceCounters{FlowsUnprotected: 1}}, in)
	counts.Members[young] = closed
	s.check(t, at, in, expected{verdict: c.forwarded(fromClient), counts: counts})
	c.play(t, []step{{flags: frame.ACK, data: "x", state: FlowYoung}})
	line, _, err := c.d.find(c.forwardKey(), c.forwardHash())
	mustRig(t, err)
	if want := uint32(c.forwardHash())&(c.d.lines-1) ^ 2; line != want {
		t.Errorf("the flow stands in line %d, want the young one's %d", line, want)
	}
}

// testDisplacedExpired: a flow past its lifetime gives way and is counted closed,
// an entry for answers does not: it holds a source port.
func testDisplacedExpired(t *testing.T, s stand) {
	defer s.clear(t)
	s.occupy(t)
	c := s.apart(t)
	old := s.occupant(FlowEstablished)
	// The programs' clock is coarse and may still stand in the tick before.
	old.Seen -= s.d.lifetimes[FlowEstablished] + 2
	answers := old
	answers.Owner |= flowReverse
	c.way(t, 1, answers)
	c.way(t, 3, old)
	if s.svc.Mode == ModeNAT {
		// Room for the other direction, wherever it stands.
		key := bpfFlowKey{Addr: toAddr(s.router), Owner: 0}
		mustRig(t, s.d.objs.FlowsOverflow.Delete(&key))
	}
	at, f := c.segment(fromClient, frame.ACK, "")
	in := build(t, f)
	counts := c.counts(step{flags: frame.ACK, member: opened}, in)
	counts.Members[MemberID(old.Member)] = closed
	s.check(t, at, in, expected{verdict: c.forwarded(fromClient), counts: counts})
	line, _, err := c.d.find(c.forwardKey(), c.forwardHash())
	mustRig(t, err)
	if want := uint32(c.forwardHash())&(c.d.lines-1) ^ 3; line != want {
		t.Errorf("the flow stands in line %d, want the expired one's %d", line, want)
	}
}

// apart is a connection before its last ACK, whose two entries have no line in
// common.
func (s stand) apart(t *testing.T) *talk {
	t.Helper()
	for {
		c := s.talk(t, 0)
		if s.svc.Mode.OneWay() {
			c.play(t, dsrHandshake()[:2])
			return c
		}
		c.play(t, handshake()[:2])
		if (c.forwardHash()^c.backHash())&uint64(s.d.lines-flowWays) != 0 {
			return c
		}
	}
}

// testOverflow: a flow of the overflow table is one like any other.
func testOverflow(t *testing.T, s stand) {
	for name, steps := range natTalks {
		t.Run(name, func(t *testing.T) {
			defer s.clear(t)
			s.occupyLines(t)
			c := s.established(t, 0)
			c.play(t, steps)
		})
	}
	t.Run("killed", func(t *testing.T) {
		defer s.clear(t)
		s.occupyLines(t)
		c := s.established(t, 0)
		c.kill(t)
		c.play(t, dead)
		c.restart()
		c.play(t, reuse(FlowKilled))
	})
}
