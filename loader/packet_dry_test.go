package loader

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/nettest/frame"
)

// testTrace: a trace tells what the program does, and leaves nothing behind.
func testTrace(t *testing.T, r *rig) {
	r.plain(t, steering, testTraceNew)
	r.plain(t, steering, testTraceKnown)
	r.plain(t, []kind{empty}, testTraceRefused)
	r.plain(t, []kind{hide, local}, testTraceBanned)
}

// trace asks about a packet and checks that asking changed nothing.
func (c *talk) trace(t *testing.T, syn bool) Trace {
	t.Helper()
	before, flows := c.tally(t), slices.Clone(c.mapFlows(t))
	embryos, marks := c.keys(t), c.words(t)
	var out Trace
	var err error
	c.inside(func() {
		out, err = c.d.Trace(Probe{Client: c.client, Listen: c.svc.Listen, SYN: syn, Interface: c.at(c.via).index})
	})
	mustRig(t, err)
	c.checkTally(t, before, tally{})
	if !slices.Equal(flows, c.mapFlows(t)) {
		t.Error("the trace changed the flow table")
	}
	if diff := cmp.Diff(embryos, c.keys(t)); diff != "" {
		t.Errorf("the trace changed the handshakes (-before +after):\n%s", diff)
	}
	if !slices.Equal(marks, c.words(t)) {
		t.Error("the trace changed the ring")
	}
	return out
}

// keys are the handshakes in progress.
func (r *rig) keys(t *testing.T) (list []bpfFlowKey) {
	t.Helper()
	var key bpfFlowKey
	var e bpfEmbryo
	it := r.d.objs.Embryos.Iterate()
	for it.Next(&key, &e) {
		list = append(list, key)
	}
	mustRig(t, it.Err())
	return list
}

// words is the ring with its marks.
func (s stand) words(t *testing.T) (list []uint32) {
	t.Helper()
	ring, err := s.d.Ring(s.id)
	mustRig(t, err)
	for i := range RingEntries {
		list = append(list, *ring.word(i))
	}
	return list
}

// wantSteps compares stages and values; a value of any is not looked at.
const anyValue = ^uint32(0)

func wantSteps(t *testing.T, got Trace, verdict verdict, want ...Step) {
	t.Helper()
	for i := range got.Steps {
		if i < len(want) && want[i].Value == anyValue {
			want[i].Value = got.Steps[i].Value
		}
	}
	if diff := cmp.Diff(want, got.Steps); diff != "" || got.Verdict != verdict.String() {
		t.Errorf("verdict %s, want %s; steps (-want +got):\n%s", got.Verdict, verdict, diff)
	}
}

func (c *talk) sent() []Step {
	steps := []Step{{Stage: StageMember, Value: uint32(c.member)}, {Stage: StageNextHop, Value: uint32(c.to.NextHop)}}
	if c.svc.Mode.Tunnels() {
		steps = append(steps, Step{Stage: StageEncapsulated, Value: uint32(c.room(c.to))})
	}
	return steps
}

func testTraceNew(t *testing.T, s stand) {
	for which := range 2 {
		c := s.talk(t, which)
		entry := uint32(s.d.FlowHash(c.client, s.svc))
		got := c.trace(t, true)
		wantSteps(t, got, c.forwarded(fromClient), append([]Step{
			{Stage: StageService, Value: uint32(s.id)}, {Stage: StageEntry, Value: entry}, {Stage: StageSYN, Value: uint32(c.member)},
		}, c.sent()...)...)
		if s.svc.Mode == ModeNAT {
			f, err := frame.Decode(got.Packet)
			mustRig(t, err)
			if f.Dst != c.to.Addr || s.kind == keep && f.Src != c.client || s.kind == hide && f.Src.Addr() != s.vip {
				t.Errorf("the packet leaves as\n%s", show(got.Packet))
			}
		}
	}
}

func testTraceKnown(t *testing.T, s stand) {
	c := s.established(t, 0)
	state := uint32(FlowEstablished)
	begin := []Step{{Stage: StageService, Value: uint32(s.id)}, {Stage: StageEntry, Value: anyValue}}
	if s.svc.Mode.OneWay() {
		state = uint32(FlowYoung)
		begin = append(begin, Step{Stage: StageWord, Value: anyValue})
	}
	found := append(slices.Clone(begin), Step{Stage: StageFlow, Value: state})
	wantSteps(t, c.trace(t, false), c.forwarded(fromClient), append(found, c.sent()...)...)
	c.kill(t)
	killed := append(slices.Clone(begin), Step{Stage: StageFlow, Value: uint32(FlowKilled)},
		Step{Stage: StageDrop, Value: anyValue, Reason: "killed"}, Step{Stage: StageReset})
	wantSteps(t, c.trace(t, false), xdpTX, killed...)
	if !s.svc.Mode.OneWay() {
		return
	}
	other := s.talk(t, 1)
	ring, err := s.d.Ring(s.id)
	mustRig(t, err)
	*ring.word(s.d.FlowHash(other.client, s.svc)) &= ringMember
	wantSteps(t, other.trace(t, false), other.forwarded(fromClient), append(slices.Clone(begin),
		append([]Step{{Stage: StageShort, Value: uint32(other.member)}}, other.sent()...)...)...)
}

func testTraceRefused(t *testing.T, s stand) {
	c := s.talkOf(t, s.nextClient())
	wantSteps(t, c.trace(t, true), xdpTX, Step{Stage: StageService, Value: uint32(s.id)}, Step{Stage: StageEntry, Value: anyValue},
		Step{Stage: StageDrop, Value: anyValue, Reason: "no_backend"}, Step{Stage: StageReset})
}

func testTraceBanned(t *testing.T, s stand) {
	c := s.talkOf(t, s.nextClient())
	s.ban(t, SourcePrefix(c.client.Addr()), 0)
	wantSteps(t, c.trace(t, true), xdpDrop, Step{Stage: StageService, Value: uint32(s.id)},
		Step{Stage: StageDrop, Value: anyValue, Reason: "banned"})
	bans, err := s.d.Bans()
	mustRig(t, err)
	if len(bans) != 1 || bans[0].Packets != 0 {
		t.Errorf("bans are %+v; the trace was counted", bans)
	}
}
