package steering

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/loader"
	"sluice/steering/ring"
)

// quiet lets time pass until no mark but those of the turn is left.
func (r *rig) quiet() {
	r.Helper()
	for range 3 {
		r.clock.advance(time.Minute + tickSlack)
		r.table.pass(r.Context())
	}
}

func (r *rig) marks() loader.MarkCount {
	r.Helper()
	m := r.status().Services[0].Marks
	if m == nil {
		r.Fatal("the service shows no marks")
	}
	return *m
}

// Entries that nothing contradicts lose their marks, the others keep them for as
// long as the flows live.
func TestMarksFollowTheFlows(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1", "b2"), dsr))
	r.upOneWay("b1", "b2")
	r.table.pass(bg)
	if m := r.marks(); m.Moved != ring.Entries || m.Any != ring.Entries {
		t.Errorf("a new ring has marks %+v, want all moved", m)
	}
	client := r.flowTo(vip, "b1")
	r.quiet()
	if m := r.marks(); m.Moved != 0 || m.Pending != 0 {
		t.Errorf("at rest the marks are %+v", m)
	}
	r.apply(with(serving("b2"), dsr))
	r.quiet()
	if m := r.marks(); m.Moved != r.foreign(client) || m.Moved == 0 {
		t.Errorf("with flows of a backend that left the marks are %+v", m)
	}
	r.lives(client, vip, "b1")
	r.dp.fin(client, vip)
	for c := range r.dp.flows {
		r.dp.fin(c.client, vip)
	}
	r.quiet()
	if m := r.marks(); m.Moved != 0 || m.Pending != 0 {
		t.Errorf("after the flows the marks are %+v", m)
	}
}

// foreign is how many entries have flows of b1.
func (r *rig) foreign(netip.AddrPort) int {
	at := map[int]bool{}
	for k, f := range r.dp.flows {
		if f.backend == backendAddr("b1") {
			at[r.dp.FlowHash(k.client, r.dp.services[k.service])] = true
		}
	}
	return len(at)
}

// upOneWay lets the checks of a service's own path succeed.
func (r *rig) upOneWay(names ...string) {
	r.Helper()
	for _, name := range names {
		r.results(CheckResult{CheckID: CheckID{Backend: backendAddr(name), Service: vip}, Up: true})
	}
}

// A change of the ring and back, while a handshake of the time between is under
// way: the late flow is found.
func TestMarksMeetLatePromotions(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1"), dsr))
	r.upOneWay("b1")
	r.quiet()
	client := r.client()
	if _, ok := r.dp.syn(client, vip); !ok {
		t.Fatal("refused")
	}
	r.apply(with(serving("b2"), dsr))
	r.upOneWay("b2")
	r.clock.advance(50 * time.Second)
	r.table.pass(bg)
	if !r.dp.ack(client, vip) {
		t.Fatal("the handshake did not complete")
	}
	r.quiet()
	r.lives(client, vip, "b1")
}

// Sessions that say nothing but a keepalive each two hours keep their backend
// for weeks, although most of their packets pass the table by.
func TestIdleSessionsAreSeen(t *testing.T) {
	r := newRig(t)
	r.opt.SweepPeriod = time.Minute
	r.apply(with(serving("b1", "b2", "b3"), dsr))
	r.upOneWay("b1", "b2", "b3")
	sessions := map[netip.AddrPort]string{}
	for range 200 {
		client, backend := r.flow(vip)
		sessions[client] = fmt.Sprintf("b%d", backend.Addr().As4()[3])
		r.clock.advance(30 * time.Second)
	}
	const step = time.Hour
	for at := time.Duration(0); at < 12*24*time.Hour; at += step {
		r.clock.advance(step)
		r.table.pass(bg)
		n := 0
		for client, backend := range sessions {
			// Each speaks at its own time, every two hours.
			if int(at/step)%2 == int(client.Addr().As4()[3])%2 {
				r.lives(client, vip, backend)
				n++
			}
		}
	}
	for client := range sessions {
		if _, known := r.dp.flows[flowKey{client, 1}]; !known {
			t.Fatalf("the entry of %v is gone", client)
		}
	}
	r.apply(with(serving("b4"), dsr))
	for client, backend := range sessions {
		r.lives(client, vip, backend)
	}
}

// Each entry has its turn in each lifetime, for a whole stretch.
func TestRefreshGoesRound(t *testing.T) {
	const lifetime = 120 * time.Hour
	k := marker{turned: true}
	last := make([]time.Duration, ring.Entries)
	worst, most := time.Duration(0), 0
	for now := time.Duration(0); now < 3*lifetime; now += refreshFor {
		from, to := k.refreshed(now, lifetime, refreshFor)
		most = max(most, to-from)
		for i := from; i < to; i++ {
			if last[i] != 0 {
				worst = max(worst, now-last[i])
			}
			last[i] = now + 1
		}
	}
	for i, at := range last {
		if at == 0 {
			t.Fatalf("entry %d never had its turn", i)
		}
	}
	// From a packet early in one turn to one late in the next.
	if worst+refreshFor > lifetime {
		t.Errorf("between two turns lie %v, a lifetime is %v", worst, lifetime)
	}
	if share := float64(most) / ring.Entries; share > 0.02 {
		t.Errorf("%.3f of the ring are looked up at a time", share)
	}
	for _, lifetime := range []time.Duration{time.Minute, refreshFor, 2 * refreshFor} {
		if from, to := k.refreshed(time.Hour, lifetime, refreshFor); from != 0 || to != ring.Entries {
			t.Errorf("with a lifetime of %v only entries %d to %d are looked up", lifetime, from, to)
		}
	}
}

// A process that takes over trusts marks that were kept, and for a while none
// where nobody kept them.
func TestMarksOverARestart(t *testing.T) {
	r := newRig(t)
	settings := with(serving("b1", "b2"), dsr)
	r.apply(settings)
	r.upOneWay("b1", "b2")
	client := r.flowTo(vip, "b1")
	r.quiet()
	again := func() loader.MarkCount {
		r.restart()
		r.apply(settings)
		r.table.pass(bg)
		return r.marks()
	}
	if m := again(); m.Moved != 0 || m.Any > ring.Entries/50 {
		t.Errorf("after a restart the marks are %+v", m)
	}
	r.clock.advance(refreshGap + time.Minute)
	if m := again(); m.Refresh != ring.Entries || m.Moved != 0 {
		t.Errorf("after a gap the marks are %+v", m)
	}
	r.clock.advance(refreshFor)
	r.table.pass(bg)
	if m := r.marks(); m.Refresh > ring.Entries/50 {
		t.Errorf("a stretch later the marks are %+v", m)
	}
	r.dp.marksKept = 0
	if m := again(); m.Moved != ring.Entries {
		t.Errorf("after a process that kept no marks they are %+v", m)
	}
	r.lives(client, vip, "b1")
}

// What cannot be looked through is not cleared.
func TestMarksStayWhereTheLookFails(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1"), dsr))
	r.upOneWay("b1")
	r.table.pass(bg)
	r.dp.fault = func(call string) error {
		if call == "Doubts " {
			return errInjected
		}
		return nil
	}
	r.quiet()
	if m := r.marks(); m.Moved != ring.Entries {
		t.Errorf("without a look the marks are %+v", m)
	}
	if got := r.alarms("flow table"); len(got) != 1 {
		t.Errorf("alarms are %+v", got)
	}
	r.dp.fault = nil
	r.quiet()
	if m := r.marks(); m.Moved != 0 {
		t.Errorf("after it the marks are %+v", m)
	}
}

// In nat every packet is looked up, and there is nothing to show.
func TestNoMarksInNAT(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"), at(with(serving("b1"), func(s *config.Service) { s.Mode = config.ModeSSHD }), "x", "192.0.2.9:22"))
	r.allUp()
	r.quiet()
	for _, s := range r.status().Services {
		if s.Marks != nil {
			t.Errorf("%s shows marks %+v", s.Name, *s.Marks)
		}
	}
}
