package loader

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/nettest/frame"
)

// testImport: flows that another gateway has. Each is established here, read,
// forgotten and imported again, as if another node had done the first half.
func testImport(t *testing.T, r *rig) {
	r.stands(t, steering, testGoesOn)
	r.plain(t, []kind{nodes}, testGoesOn)
	r.plain(t, steering, testImportTwice)
	r.plain(t, steering, testImportAsCopy)
	r.plain(t, steering, testAdoptedEnds)
	r.plain(t, steering, testCopies)
	r.plain(t, steering, testNoRecord)
	r.plain(t, steering, testImportRefused)
	r.plain(t, steering, testImportOverLiving)
	r.plain(t, natKinds, testImportTakesPort)
	r.plain(t, oneWay, testImportYoung)
}

// ready is a flow of which another gateway can be told.
func (s stand) ready(t *testing.T, which int) *talk {
	t.Helper()
	c := s.established(t, which)
	if s.svc.Proxy {
		c.both(t, step{}, step{})
	}
	if s.svc.Mode.OneWay() {
		c.change(t, func(f *bpfFlow) {
			f.Status = f.Status&^statusState | uint32(FlowEstablished) | statusAdvanced
			f.Opened -= s.d.lifetimes[FlowHalfClosed] + 5
		})
	}
	return c
}

func (c *talk) flowKey() FlowKey { return FlowKey{Service: c.id, Client: c.client} }

// record is what another gateway is told of the flow.
func (c *talk) record(t testing.TB) FlowRecord {
	t.Helper()
	list, err := c.d.Records([]FlowKey{c.flowKey()})
	mustRig(t, err)
	if len(list) != 1 {
		t.Fatalf("%d records of one flow", len(list))
	}
	return list[0]
}

// wantImport imports records and compares what became of them, and what was
// counted. No event tells of it.
func (s stand) wantImport(t testing.TB, want Imported, counts tally, records ...FlowRecord) {
	t.Helper()
	s.events(t)
	before := s.tally(t)
	got, err := s.d.ImportFlows(records)
	mustRig(t, err)
	if got != want {
		t.Fatalf("imported %+v, want %+v", got, want)
	}
	if diff := cmp.Diff(counts, s.tally(t).since(before), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("counters differ (-want +got):\n%s", diff)
	}
}

// begun counts flows of the member that were imported.
func (c *talk) begun(n uint64) tally {
	return tally{Members: map[MemberID]MemberCounters{c.member: {FlowsOpened: n}}}
}

// adopt forgets everything and imports the flow.
func (c *talk) adopt(t *testing.T) FlowRecord {
	t.Helper()
	r := c.record(t)
	c.clear(t)
	if c.svc.Mode.OneWay() { // as quiet as a ring can be
		c.ring(t).Clear(c.entry(), ^uint32(ringMember))
	}
	c.wantImport(t, Imported{Made: 1}, c.begun(1), r)
	c.wantEvents(t)
	return r
}

// testGoesOn: a flow that is imported goes on with its backend and source port,
// in both directions, whatever the ring says.
func testGoesOn(t *testing.T, s stand) {
	for which := range 2 {
		c := s.ready(t, which)
		t.Cleanup(s.aim(t, membersOf(s.id)[1-which]))
		r := c.adopt(t)
		if diff := cmp.Diff(r, c.record(t), byAddress, sameAge); diff != "" {
			t.Errorf("the record changed on its way (-want +got):\n%s", diff)
		}
		for range 2 {
			c.both(t, step{}, step{})
		}
		c.play(t, []step{{flags: frame.SYN, forged: true, tweak: forge, state: FlowEstablished}})
		c.both(t, step{}, step{})
		s.fillRing(t, s.family, s.kind)
	}
}

var byAddress = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

// sameAge leaves out a tick.
var sameAge = cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() <= 1<<tickShift })

// testImportTwice: the same again, and what is said of a flow that this node has
// by its own word, changes nothing.
func testImportTwice(t *testing.T, s stand) {
	c := s.ready(t, 0)
	r := c.adopt(t)
	s.wantImport(t, Imported{Known: 2}, tally{}, r, r)
	ended := r
	ended.State, ended.Flags = FlowHalfClosed, r.Flags|FlowClientFIN|FlowClientDoubt
	s.wantImport(t, Imported{Known: 1}, tally{}, ended)
	c.both(t, step{}, step{})
	c.play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}})
	s.events(t)
	s.wantImport(t, Imported{Known: 1}, tally{}, r)
	c.checkEntry(t, step{state: FlowClosed})
}

// testImportAsCopy: while another node has the VIP, what it says is taken over
// with all that is counted, and given on as it came.
func testImportAsCopy(t *testing.T, s stand) {
	c := s.ready(t, 0)
	alive := c.record(t)
	c.clear(t)
	o := s.elect(t, s.vip)
	s.wantImport(t, Imported{Made: 1}, c.begun(1), alive)
	half, reset := alive, alive
	half.State, half.Flags, half.Sequence = FlowHalfClosed, alive.Flags|FlowClientFIN|FlowClientDoubt, c.up.next+1
	reset.State, reset.Flags, reset.Sequence = FlowClosed, alive.Flags|FlowClientDoubt, c.up.next
	if s.svc.Mode == ModeNAT {
		half.Flags, half.BackSequence = alive.Flags|FlowBackendFIN|FlowBackendDoubt, c.down.next+1
		half.Sequence = alive.Sequence
	}
	ended := tally{Members: map[MemberID]MemberCounters{c.member: closed}}
	lives := tally{Members: map[MemberID]MemberCounters{c.member: revived}}
	for i, turn := range []struct {
		r      FlowRecord
		counts tally
	}{{half, tally{}}, {alive, tally{}}, {reset, ended}, {half, lives}, {reset, ended}, {alive, lives}} {
		s.wantImport(t, Imported{Replaced: 1}, turn.counts, turn.r)
		s.wantImport(t, Imported{Known: 1}, tally{}, turn.r)
		if diff := cmp.Diff(turn.r, c.record(t), byAddress, sameAge); diff != "" {
			t.Fatalf("turn %d: the record changed on its way (-want +got):\n%s", i, diff)
		}
		c.checkEntry(t, step{state: turn.r.State})
		s.wantEvents(t)
	}
	mustRig(t, o.Set([]netip.Addr{s.vip}, true, 0))
	c.both(t, step{}, step{})
	s.clear(t)
	// One that seems to have ended was never opened here, and may still live.
	s.wantImport(t, Imported{Made: 1}, tally{}, reset)
	c.change(t, func(f *bpfFlow) { f.Seen -= reorder + 1 })
	c.play(t, []step{{flags: frame.ACK, data: "x", member: revived, state: FlowEstablished}})
}

// testAdoptedEnds: numbers of an imported flow are believed, however far they
// went on, and doubted: its end is seen, and a forged one is taken back.
func testAdoptedEnds(t *testing.T, s stand) {
	far := func(c *talk) *talk {
		c.up.next += 1 << 30
		c.down.next += 3 << 30
		return c
	}
	adopted := func() *talk {
		c := s.ready(t, 0)
		c.adopt(t)
		return far(c)
	}
	c := adopted()
	c.both(t, step{}, step{})
	for _, by := range []uint32{0, 1 << 31, 1 << 20} {
		c.play(t, []step{{flags: frame.RST, forged: true, tweak: seq(by), member: closed, state: FlowClosed}})
		c.change(t, func(f *bpfFlow) { f.Seen -= reorder + 1 })
		c.up.next += 2 << 20 // it goes on
		c.play(t, []step{{flags: frame.ACK, data: "x", member: revived, state: FlowEstablished}})
	}
	adopted().play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}})
	if s.svc.Mode.OneWay() {
		return
	}
	for _, order := range [][2]side{{fromClient, fromBackend}, {fromBackend, fromClient}} {
		c := adopted()
		c.play(t, []step{
			{from: order[0], flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
			{from: order[1], flags: frame.ACK, data: "more", state: FlowHalfClosed},
			{from: order[1], flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
			{from: order[0], flags: frame.ACK, state: FlowClosed},
		})
		if list, err := c.d.Records([]FlowKey{c.flowKey()}); err != nil || len(list) != 0 {
			t.Errorf("a flow that ended beyond doubt has the records %v (%v)", list, err)
		}
	}
}

// reorder is REORDER_TICKS of bpf/follow.h.
const reorder = 2

// testCopies: another node's flows are removed and kept young at its word, and
// those of this node are its own affair.
func testCopies(t *testing.T, s stand) {
	c, other := s.ready(t, 0), s.ready(t, 1)
	key := []FlowKey{c.flowKey(), {Service: s.id, Client: s.nextClient()}, {Service: 999, Client: c.client}}
	count := func(want int) func(int, error) {
		return func(got int, err error) {
			t.Helper()
			if err != nil || got != want {
				t.Errorf("%d flows (%v), want %d", got, err, want)
			}
		}
	}
	count(0)(s.d.RemoveFlows(key))
	o := s.elect(t, s.vip)
	c.change(t, older(c.d.lifetimes[FlowEstablished]-5))
	count(1)(s.d.RefreshFlows(key, now(t)-time.Hour))
	if got := c.record(t).Idle; (got - time.Hour).Abs() > 3<<tickShift {
		t.Errorf("idle for %s, want an hour", got)
	}
	count(1)(s.d.RefreshFlows(key, now(t)-2*time.Hour))
	if got := c.record(t).Idle; got > time.Hour+3<<tickShift {
		t.Errorf("idle for %s: it grew older", got)
	}
	count(1)(s.d.RefreshFlows(key, now(t)+time.Hour))
	if got := c.record(t).Idle; got > 3<<tickShift {
		t.Errorf("idle for %s, want none", got)
	}
	s.events(t)
	before := s.tally(t)
	entries, err := s.d.Entries(t.Context())
	mustRig(t, err)
	count(1)(s.d.RemoveFlows(key))
	count(0)(s.d.RemoveFlows(key))
	s.wantEvents(t)
	s.checkTally(t, before, tally{Members: map[MemberID]MemberCounters{c.member: closed}})
	left, err := s.d.Entries(t.Context())
	mustRig(t, err)
	each := 1
	if s.svc.Mode == ModeNAT {
		each = 2
	}
	if entries-left != each {
		t.Errorf("%d entries went with one flow, want %d", entries-left, each)
	}
	mustRig(t, o.Set([]netip.Addr{s.vip}, true, 0))
	other.both(t, step{}, step{})
}

// testNoRecord: nobody is told of what cannot go on elsewhere.
func testNoRecord(t *testing.T, s stand) {
	s.clear(t)
	begun := s.talk(t, 0)
	begun.play(t, handshake()[:2])
	killed := s.ready(t, 0)
	killed.kill(t)
	open := s.talk(t, 1)
	want := []netip.AddrPort{}
	if open.greet(t); !s.svc.Proxy {
		want = append(want, open.client)
	}
	aged := s.ready(t, 0)
	aged.change(t, older(s.d.lifetimes[FlowEstablished]+2))
	ready := s.ready(t, 1)
	want = append(want, ready.client)
	var got []netip.AddrPort
	mustRig(t, s.d.EachFlow(t.Context(), func(list []FlowRecord) error {
		for _, r := range list {
			got = append(got, r.Client)
		}
		return nil
	}))
	slices.SortFunc(got, netip.AddrPort.Compare)
	slices.SortFunc(want, netip.AddrPort.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("records of %v, want %v", got, want)
	}
	stop := errors.New("stop")
	if err := s.d.EachFlow(t.Context(), func([]FlowRecord) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("EachFlow ended by %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.d.EachFlow(gone, func([]FlowRecord) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("EachFlow ended by %v", err)
	}
}

// testImportRefused: nothing is made of nonsense.
func testImportRefused(t *testing.T, s stand) {
	c := s.ready(t, 0)
	r := c.record(t)
	c.clear(t)
	six := netip.MustParseAddrPort("[2001:db8::9]:99")
	if s.vip.Is6() {
		six = netip.MustParseAddrPort("192.0.2.9:99")
	}
	nat := s.svc.Mode == ModeNAT
	bad := map[string]func(*FlowRecord){
		"service":        func(r *FlowRecord) { r.Service = 999 },
		"sshd":           func(r *FlowRecord) { r.Service = local.id(s.family) },
		"member":         func(r *FlowRecord) { r.Member = 9999 },
		"other's member": func(r *FlowRecord) { r.Member = membersOf(pooled.id(families[0]) + 1)[0] + 100 },
		"no client":      func(r *FlowRecord) { r.Client = netip.AddrPort{} },
		"no port":        func(r *FlowRecord) { r.Client = withPort(r.Client.Addr(), 0) },
		"family":         func(r *FlowRecord) { r.Client = six },
		"flag":           func(r *FlowRecord) { r.Flags |= 1 << flowFlags },
		"no state":       func(r *FlowRecord) { r.State = 0 },
		"killed":         func(r *FlowRecord) { r.State = FlowKilled },
		"state":          func(r *FlowRecord) { r.State = 77 },
		"closed":         func(r *FlowRecord) { r.State = FlowClosed },
		"half closed":    func(r *FlowRecord) { r.State = FlowHalfClosed },
		"ended":          func(r *FlowRecord) { r.Flags |= FlowClientFIN },
		"future":         func(r *FlowRecord) { r.Idle = -time.Second },
		"younger":        func(r *FlowRecord) { r.Age = r.Idle - 1 },
		"past its time":  func(r *FlowRecord) { r.Idle, r.Age = 121*time.Hour, 122*time.Hour },
		"source": func(r *FlowRecord) {
			if r.Source = six; nat {
				r.Source = netip.AddrPort{}
			}
		},
		"source's port": func(r *FlowRecord) { r.Source = withPort(s.vip, 0) },
		"nat's flags": func(r *FlowRecord) {
			if r.Flags |= FlowHeader; nat {
				r.Flags = FlowAdvanced
			}
		},
	}
	if s.svc.KeepClient {
		bad["kept source"] = func(r *FlowRecord) { r.Source = withPort(s.vip, 1000) }
	}
	if nat {
		bad["young"] = func(r *FlowRecord) { r.State = FlowYoung }
	}
	for name, spoil := range bad {
		spoiled := r
		spoil(&spoiled)
		t.Log(name)
		s.wantImport(t, Imported{Refused: 1}, tally{}, spoiled)
	}
	if n, err := s.d.Entries(t.Context()); err != nil || n != 0 {
		t.Errorf("%d entries were made (%v)", n, err)
	}
}

// testImportOverLiving: what lives here stands by this node's own word, and
// gives way when another has the VIP.
func testImportOverLiving(t *testing.T, s stand) {
	c := s.ready(t, 0)
	r := c.record(t)
	r.Member = membersOf(s.id)[1]
	s.wantImport(t, Imported{Refused: 1}, tally{}, r)
	c.both(t, step{}, step{})
	o := s.elect(t, s.vip)
	s.wantImport(t, Imported{Replaced: 1}, tally{Members: map[MemberID]MemberCounters{
		c.member: closed, r.Member: {FlowsOpened: 1},
	}}, r)
	s.wantEvents(t, c.event(EventClosed))
	mustRig(t, o.Set([]netip.Addr{s.vip}, true, 0))
	moved := *c
	members, err := s.d.Members()
	mustRig(t, err)
	moved.member, moved.to = r.Member, members[r.Member]
	moved.both(t, step{}, step{})
}

// testImportTakesPort: a source port is the importer's, unless a flow or a
// handshake has it here that lives by this node's own word.
func testImportTakesPort(t *testing.T, s stand) {
	c := s.ready(t, 0)
	r := c.record(t)
	r.Client = s.nextClient()
	if s.svc.KeepClient {
		// Towards one backend a client's port is one flow's only: of the twin.
		if s.kind != keep {
			return
		}
		twin := keepTwin.id(s.family)
		r.Client, r.Service, r.Member = c.client, twin, membersOf(twin)[0]
	}
	s.wantImport(t, Imported{Refused: 1}, tally{}, r)
	c.both(t, step{}, step{})
	o := s.elect(t, s.vip, s.twin)
	s.wantImport(t, Imported{Made: 1}, tally{Members: merged(c.member, closed, r.Member, MemberCounters{FlowsOpened: 1})}, r)
	s.wantEvents(t, c.event(EventClosed))
	mustRig(t, o.Set([]netip.Addr{s.vip, s.twin}, true, 0))
	if _, ok, err := s.d.Find(s.id, c.client); err != nil || ok {
		t.Errorf("who lost the port is still there (%v)", err)
	}
	if s.svc.KeepClient {
		return
	}
	taken := *c
	taken.client = r.Client
	taken.both(t, step{}, step{})
	s.testImportOverHandshake(t, r, o)
}

// testImportOverHandshake: the same with a handshake that has the port.
func (s stand) testImportOverHandshake(t *testing.T, r FlowRecord, o *Owners) {
	begun := s.talk(t, 0)
	begun.play(t, handshake()[:2])
	r.Source, r.Client = begun.source, s.nextClient()
	s.wantImport(t, Imported{Refused: 1}, tally{}, r)
	mustRig(t, o.Set([]netip.Addr{s.vip}, false, 0))
	s.wantImport(t, Imported{Made: 1}, begun.begun(1), r)
	mustRig(t, o.Set([]netip.Addr{s.vip}, true, 0))
	begun.play(t, []step{{flags: frame.ACK, does: silent, why: "table_full", service: refusedOnce}})
}

// merged adds up two members' counters, who may be one.
func merged(a MemberID, x MemberCounters, b MemberID, y MemberCounters) map[MemberID]MemberCounters {
	if a == b {
		x.FlowsOpened += y.FlowsOpened
		return map[MemberID]MemberCounters{a: x}
	}
	return map[MemberID]MemberCounters{a: x, b: y}
}

// testImportYoung: a flow that is not proven yet is so here when it is; whoever
// reads events is told.
func testImportYoung(t *testing.T, s stand) {
	c := s.established(t, 0)
	c.play(t, []step{{flags: frame.ACK, data: "x", state: FlowYoung}})
	r := c.record(t)
	if r.State != FlowYoung || r.Flags != FlowAdvanced {
		t.Errorf("record of a young flow: %+v", r)
	}
	c.adopt(t)
	if c.ring(t).Marks(c.entry()) == 0 {
		t.Error("its ring entry is not in doubt")
	}
	c.change(t, older(ticks(Lifetimes{}.withDefaults().Young)))
	c.play(t, []step{{flags: frame.ACK, state: FlowEstablished}})
	s.wantEvents(t, c.event(EventSettled))
	c.play(t, []step{{flags: frame.ACK, state: FlowEstablished}})
	s.wantEvents(t)
}
