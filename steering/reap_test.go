package steering

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/loader"
)

// records returns which backends have a member record.
func (r *rig) records() map[string]int {
	r.dp.mu.Lock()
	defer r.dp.mu.Unlock()
	found := map[string]int{}
	for _, m := range r.dp.members {
		found[nameOf(m.Addr)]++
	}
	return found
}

func (r *rig) wantRecords(when string, want map[string]int) {
	r.Helper()
	if diff := cmp.Diff(want, r.records()); diff != "" {
		r.Errorf("%s: records (-want +got):\n%s", when, diff)
	}
}

// settledFor lets d pass with a sweep at its end, and one before so that what
// is to be seen to stay the same has been seen.
func (r *rig) settledFor(d time.Duration) {
	r.Helper()
	r.table.pass(context.Background())
	r.clock.advance(d)
	r.table.pass(context.Background())
}

const embryo = time.Minute + tickSlack

func TestRecordGoesWithTheLastFlow(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.apply(serving("b2"))
	r.settledFor(time.Hour)
	if r.records()["b1"] != 1 {
		t.Fatal("the record went while a flow lives")
	}
	for k := range r.dp.flows {
		r.dp.fin(k.client, vip)
	}
	r.dp.fin(client, vip)
	r.settledFor(time.Second)
	if r.records()["b1"] != 1 {
		t.Error("the record went while closed entries name it")
	}
	r.settledFor(time.Minute)
	r.wantRecords("after the last flow", map[string]int{"b2": 1})
	if got := r.backend("b1").State; got != "" {
		t.Errorf("the backend is still shown, %s", got)
	}
	if _, there := r.resolver.acquired[backendAddr("b1").Addr()]; there {
		t.Error("its next hop is still held")
	}
}

func TestRecordOutlivesHandshakes(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	client := r.client()
	r.clock.advance(time.Hour)
	if _, ok := r.dp.syn(client, vip); !ok {
		t.Fatal("SYN refused")
	}
	r.apply(serving("b2"))
	r.settledFor(time.Minute)
	if r.records()["b1"] != 1 {
		t.Error("the record went while a handshake may be under way")
	}
	if !r.dp.ack(client, vip) {
		t.Error("the handshake could not be completed")
	}
	r.settledFor(time.Hour)
	r.lives(client, vip, "b1")
}

// A SYN that is repeated to a backend which answered keeps its handshake alive.
func TestRecordWaitsForTheLastSYN(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.apply(serving("b2"))
	for range 3 {
		r.settledFor(embryo - time.Second)
		c := r.dp.memberCounts[1]
		c.SYNs++
		r.dp.memberCounts[1] = c
	}
	if r.records()["b1"] != 1 {
		t.Error("the record went while SYNs arrive")
	}
	r.settledFor(embryo)
	r.wantRecords("after the last SYN", map[string]int{"b2": 1})
}

func TestRecordStaysWhereCountersAndTableDisagree(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	c := r.dp.memberCounts[1]
	c.FlowsOpened++
	r.dp.memberCounts[1] = c
	r.apply(serving("b2"))
	r.settledFor(time.Hour)
	if r.records()["b1"] != 1 {
		t.Error("the record went although the counters say that a flow lives")
	}
	c.FlowsClosed++
	r.dp.memberCounts[1] = c
	r.settledFor(time.Hour)
	r.wantRecords("after they agree", map[string]int{"b2": 1})
}

func TestServiceGoesWithItsLastMember(t *testing.T) {
	r := newRig(t)
	other := addrPort("192.0.2.4:22")
	r.apply(serving("b1"), at(serving("b2"), "two", other.String()))
	r.allUp()
	client, _ := r.flow(other)
	r.apply(serving("b1"))
	r.settledFor(time.Hour)
	if r.dp.published[other] == 0 {
		t.Error("the address was given up while a flow lives")
	}
	r.dp.fin(client, other)
	r.settledFor(time.Minute)
	if len(r.dp.services) != 1 || r.dp.published[other] != 0 {
		t.Errorf("services %v are left, %v published", r.dp.services, r.dp.published)
	}
	if got := len(r.status().Services); got != 1 {
		t.Errorf("%d services are shown", got)
	}
}

func TestServiceOfModeSSHDGoesAtOnce(t *testing.T) {
	r := newRig(t)
	sshd := config.Service{Name: "login", Listen: vip, Mode: config.ModeSSHD}
	r.apply(sshd)
	if len(r.dp.services) != 1 || len(r.dp.members) != 0 || r.dp.published[vip] == 0 {
		t.Fatalf("services %v, members %v, published %v", r.dp.services, r.dp.members, r.dp.published)
	}
	r.apply()
	r.settledFor(time.Second)
	if len(r.dp.services) != 0 || len(r.dp.published) != 0 {
		t.Errorf("services %v are left, %v published", r.dp.services, r.dp.published)
	}
}

func TestBackendThatComesBackKeepsItsID(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	id := map[string]loader.MemberID{}
	for m, record := range r.dp.members {
		id[nameOf(record.Addr)] = m
	}
	r.apply(serving("b2"))
	r.settledFor(embryo)
	r.wantRecords("reaped", map[string]int{"b2": 1})
	r.apply(serving("b2", "b3", "b1"))
	for m, record := range r.dp.members {
		if want, had := id[nameOf(record.Addr)]; had && m != want {
			t.Errorf("%v has id %d, had %d", record.Addr, m, want)
		}
	}
}

func TestNothingIsReapedBeforeSettings(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.restart()
	r.settledFor(time.Hour)
	r.wantRecords("before settings", map[string]int{"b1": 1, "b2": 1})
	r.apply(serving("b2"))
	r.settledFor(embryo)
	r.wantRecords("with settings", map[string]int{"b2": 1})
}

// Flows without a record are left by a change that was taken back after its
// first packets; they must neither stay nor hand their id to another backend.
func TestStrayFlowsEnd(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	stray := r.client()
	r.dp.flows[flowKey{stray, 9}] = &fakeFlow{
		member: 2, backend: backendAddr("b9"), state: loader.FlowEstablished,
		opened: r.clock.monotonic(), seen: r.clock.monotonic(),
	}
	c := r.dp.memberCounts[2]
	c.FlowsOpened++
	r.dp.memberCounts[2] = c
	r.clock.advance(time.Second)
	r.table.pass(context.Background())
	if got := r.dp.flows[flowKey{stray, 9}].state; got != loader.FlowKilled {
		t.Errorf("the flow is in state %d", got)
	}
	r.apply(serving("b1", "b2"))
	for id, m := range r.dp.members {
		if id == 2 {
			t.Errorf("id 2, which a flow names, went to %v", m.Addr)
		}
	}
}

// When no id is left that nobody had, the longest removed one goes to another
// backend, and what it counted stays with the one that had it.
func TestRecycledIDOnTheDataplane(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	for range 8 {
		r.flow(vip)
	}
	b1 := r.backend("b1").Counters
	clear(r.dp.flows)
	for id, c := range r.dp.memberCounts {
		c.FlowsClosed = c.FlowsOpened
		r.dp.memberCounts[id] = c
	}
	r.apply(serving("b2"))
	r.settledFor(embryo)
	full := r.table.model.Load().clone()
	full.ledger = full.ledger.edit()
	full.ledger.Members.Last = maxMemberID
	r.table.model.Store(full)
	r.apply(serving("b2", "b3"))
	if got := r.backend("b3").Counters; got != (Counters{}) {
		t.Errorf("b3 begins with %+v", got)
	}
	full = r.table.model.Load()
	if key := full.ledger.Members.InUse[1].Key; key.Backend != backendAddr("b3") {
		t.Errorf("id 1 is with %v", key.Backend)
	}
	now, err := readCounters(r.dp)
	if err != nil {
		t.Fatal(err)
	}
	kept := full.ledger.Members.shown(now.members)[memberKey{vip, backendAddr("b1")}]
	if kept.PacketsIn != b1.PacketsIn || kept.FlowsOpened != b1.FlowsOpened {
		t.Errorf("of b1 is kept %+v, it showed %+v", kept, b1)
	}
}

func TestTableFullOfMembersSaysSo(t *testing.T) {
	r := newRig(t)
	l := r.table.model.Load()
	full := l.clone()
	full.ledger = full.ledger.edit()
	full.ledger.Members.Last = maxMemberID
	r.table.model.Store(full)
	_, err := r.table.Apply(context.Background(), settings(serving("b1")))
	if err == nil || err.Error() != `apply settings: service "ssh": backend "b1": `+errNoID.Error() {
		t.Errorf("error is %v", err)
	}
}
