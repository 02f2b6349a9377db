package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// testShort: where the ring is not in doubt, packets of one-way services pass
// the flow table by. An entry that names another member than the ring, which
// cannot be without a mark, shows which way a packet went.
func testShort(t *testing.T, r *rig) {
	r.plain(t, []kind{dsr, nodes}, func(t *testing.T, s stand) {
		t.Run("ways", func(t *testing.T) { testWays(t, s) })
		t.Run("refresh", func(t *testing.T) { testRefresh(t, s) })
		t.Run("kill", func(t *testing.T) { testKillShort(t, s) })
		t.Run("no backend", func(t *testing.T) { testShortEmpty(t, s) })
		t.Run("marks", func(t *testing.T) { testMarksSet(t, s) })
	})
	r.plain(t, natKinds, testNATAlwaysLooksUp)
}

// ring is the one of the service, entry where the connection falls on it.
func (s stand) ring(t testing.TB) *Ring {
	t.Helper()
	ring, err := s.d.Ring(s.id)
	mustRig(t, err)
	return ring
}

func (c *talk) entry() int { return c.d.FlowHash(c.client, c.svc) }

// mark makes marks the only ones of the connection's ring entry.
func (c *talk) mark(t testing.TB, marks uint32) {
	t.Helper()
	r := c.ring(t)
	r.Clear(c.entry(), ^uint32(ringMember))
	r.Mark(c.entry(), marks)
}

// elsewhere is the connection as it is when its packets reach the other member
// than its entry names.
func (c *talk) elsewhere(t *testing.T) *talk {
	t.Helper()
	other := *c
	for _, m := range membersOf(c.id) {
		if m != c.member {
			other.member = m
		}
	}
	members, err := c.d.Members()
	mustRig(t, err)
	other.to = members[other.member]
	return &other
}

// contradict lets the ring name the other member, without any mark.
func (c *talk) contradict(t *testing.T) (other *talk) {
	t.Helper()
	other = c.elsewhere(t)
	c.ring(t).Set(c.entry(), other.member)
	c.mark(t, 0)
	return other
}

func testWays(t *testing.T, s stand) {
	defer s.fillRing(t, s.family, s.kind)
	c := s.established(t, 0)
	short := c.contradict(t)
	any := step{flags: frame.ACK | frame.PSH, data: "data", state: FlowYoung, lone: true}
	short.play(t, []step{any, {say: "no flags", state: FlowYoung, lone: true}})
	for _, mark := range []uint32{movedNew, movedOld, pendingNew, pendingOld, movedNew | refreshed} {
		c.mark(t, mark)
		c.up = short.up
		c.play(t, []step{any})
		short.up = c.up
	}
	c.mark(t, 0)
	c.play(t, []step{
		{say: "SYN on the living tuple", flags: frame.SYN, forged: true, tweak: forge, state: FlowYoung},
	})
	c.mark(t, 0)
	c.play(t, []step{{flags: frame.FIN | frame.ACK, state: FlowHalfClosed}})
	c.mark(t, 0)
	c.play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}})
}

// testRefresh: where entries are only to see their flows, what carries no data is
// looked up, and of what does some is and most is not.
func testRefresh(t *testing.T, s stand) {
	defer s.fillRing(t, s.family, s.kind)
	c := s.established(t, 0)
	short := c.contradict(t)
	c.mark(t, refreshed)
	c.play(t, []step{
		{say: "no data", flags: frame.ACK, state: FlowYoung},
		{say: "keepalive probe with a byte", flags: frame.ACK, data: "x", forged: true, tweak: func(f *frame.Frame) { f.Seq-- }, state: FlowYoung},
	})
	const segments = 256
	looked := 0
	for range segments {
		at, f := c.segment(fromClient, frame.ACK|frame.PSH, "some data")
		before := s.tally(t)
		c.mustRun(t, at, build(t, f))
		for member := range s.tally(t).since(before).Members {
			switch member {
			case c.member:
				looked++
			case short.member:
			default:
				t.Fatalf("a segment went to member %d", member)
			}
		}
	}
	// One in 8 is meant; of numbers in an even distance some shares are off.
	if looked < segments/32 || looked > segments/2 {
		t.Errorf("%d of %d segments with data were looked up", looked, segments)
	}
}

// testKillShort: an operator's word reaches flows that pass the table by.
func testKillShort(t *testing.T, s stand) {
	c := s.established(t, 0)
	c.change(t, func(f *bpfFlow) {
		f.Status = f.Status&^statusState | statusAdvanced | uint32(FlowEstablished)
		f.Seen -= s.d.lifetimes[FlowKilled] + 100
	})
	c.mark(t, 0)
	c.kill(t)
	c.play(t, dead[:1])
}

func testShortEmpty(t *testing.T, s stand) {
	defer s.fillRing(t, s.family, s.kind)
	c := s.established(t, 0)
	c.ring(t).Set(c.entry(), 0)
	c.mark(t, 0)
	c.play(t, []step{{say: "nobody to go to but by the table", flags: frame.ACK, state: FlowYoung}})
}

// testMarksSet: marks come with what makes them necessary, in the new
// generation, and no other mark is touched.
func testMarksSet(t *testing.T, s stand) {
	defer s.fillRing(t, s.family, s.kind)
	want := func(c *talk, marks uint32) {
		t.Helper()
		if got := c.ring(t).Marks(c.entry()); got != marks {
			t.Errorf("the marks are %#x, want %#x", got, marks)
		}
	}
	c := s.talk(t, 0)
	c.mark(t, pendingOld|movedOld)
	c.play(t, dsrHandshake()[:1])
	want(c, pendingOld|movedOld|pendingNew)
	c.ring(t).Set(c.entry(), c.elsewhere(t).member)
	c.mark(t, pendingOld)
	c.play(t, dsrHandshake()[2:])
	want(c, pendingOld|movedNew)

	// An embryo beside an entry that the ring contradicts.
	c.mark(t, refreshed)
	c.play(t, []step{{flags: frame.SYN, forged: true, tweak: forge, state: FlowYoung}})
	want(c, refreshed|movedNew|pendingNew)

	for _, end := range []frame.Flags{frame.FIN | frame.ACK, frame.RST} {
		c := s.established(t, 1)
		c.mark(t, 0)
		at, f := c.segment(fromClient, end, "")
		c.mustRun(t, at, build(t, f))
		want(c, pendingNew)
	}
	c = s.established(t, 1)
	c.mark(t, 0)
	c.play(t, []step{{flags: frame.ACK, data: "x", state: FlowYoung}})
	want(c, 0)
}

func testNATAlwaysLooksUp(t *testing.T, s stand) {
	defer s.fillRing(t, s.family, s.kind)
	c := s.established(t, 0)
	c.contradict(t)
	c.play(t, []step{
		{flags: frame.ACK, data: "x", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, data: "x", state: FlowEstablished},
	})
}
