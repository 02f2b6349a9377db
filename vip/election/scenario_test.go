package election

import (
	"errors"
	"testing"
	"time"

	"sluice/vip/vrrp"
)

func pair(t *testing.T, s setup) *world {
	s.nodes = 2
	w := newWorld(t, s)
	w.run(2 * time.Second)
	w.want("active backup")
	return w
}

// TestBounce: a link that bounces moves the cluster once, not each time.
func TestBounce(t *testing.T) {
	w := pair(t, setup{beats: true, pings: true, preempt: true})
	for range 10 {
		w.nodes[0].linkDown[0] = true
		w.run(150 * time.Millisecond)
		delete(w.nodes[0].linkDown, 0)
		w.run(150 * time.Millisecond)
	}
	w.want("backup active")
	if got := len(w.nodes[1].changes); got != 2 {
		w.fail("the backup changed %d times, want once to backup and once to active", got)
	}
	w.run(3 * time.Second)
	w.want("active backup")
}

// TestCommonOutage: both see it, at different times, and its end as well.
func TestCommonOutage(t *testing.T) {
	for seed := range uint64(30) {
		w := pair(t, setup{seed: seed, beats: true, pings: true, preempt: true})
		w.targetDown[1] = true
		w.run(5 * time.Second)
		w.want("active backup")
		w.heal()
		w.run(10 * time.Second)
		w.want("active backup")
		if got := len(w.nodes[0].changes); got != 2 {
			w.fail("the role moved in a common outage")
		}
	}
}

func TestPreempt(t *testing.T) {
	for _, test := range []struct {
		name             string
		preempt, synced  bool
		beats            bool
		want             string
		wait             time.Duration
		changesOfPreempt int
	}{
		{"off", false, true, true, "backup active", time.Minute, 0},
		{"on", true, true, true, "active backup", 3 * time.Second, 1},
		{"not before it is synced", true, false, true, "backup active", time.Minute, 0},
		{"not before the delay", true, true, true, "backup active", 900 * time.Millisecond, 0},
		{"by adverts alone", true, true, false, "active backup", 3 * time.Second, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := pair(t, setup{beats: test.beats, preempt: test.preempt})
			w.powerOff(0)
			w.run(time.Second)
			w.want("dead active")
			w.nodes[0].synced = test.synced
			w.nodes[0].boot()
			w.run(test.wait)
			w.want(test.want)
		})
	}
}

func TestOrders(t *testing.T) {
	w := pair(t, setup{beats: true, preempt: true})
	order := func(i int, o Order, hold time.Duration, want error) {
		t.Helper()
		n := w.nodes[i]
		if err := n.m.Order(w.now, o, hold); !errors.Is(err, want) {
			w.fail("order %d of node %d: %v, want %v", o, i, err, want)
		}
		n.run()
		w.run(time.Minute)
	}
	order(1, Resign, 0, ErrNotActive)
	w.want("active backup")
	order(0, Swap, 0, nil)
	w.want("backup active") // although preempting is on and the priority higher
	order(0, Swap, 0, nil)
	w.want("active backup")
	order(1, Swap, 0, nil)
	w.want("backup active")
	order(1, Resign, 10*time.Second, nil)
	w.want("active backup")
	w.powerOff(1)
	w.run(time.Second)
	order(0, Swap, 0, ErrNobody)
	w.want("active dead")
	order(0, Resign, 0, nil)
	w.want("active dead") // nobody else is there: it takes the role again
	w.nodes[1].faults = []string{"no dataplane"}
	w.nodes[1].boot()
	w.run(time.Second)
	order(0, Swap, 0, ErrNobody)
	order(1, Swap, 0, ErrFault)
	w.want("active fault")
}

// TestResignHold: the other one gone, who resigned takes the role back.
func TestResignHold(t *testing.T) {
	w := pair(t, setup{beats: true, preempt: true})
	if err := w.nodes[0].m.Order(w.now, Swap, 0); err != nil {
		t.Fatal(err)
	}
	w.nodes[0].run()
	w.run(time.Minute)
	w.want("backup active")
	w.powerOff(1)
	w.run(time.Second)
	w.want("active dead")
}

// TestStop: a graceful stop is noticed within the skew.
func TestStop(t *testing.T) {
	for _, beats := range []bool{true, false} {
		w := pair(t, setup{beats: beats})
		w.nodes[0].m.Stop(w.now)
		w.nodes[0].run()
		w.run(vrrp.Skew(100, 100*time.Millisecond) + 10*time.Millisecond)
		w.want("init active")
		w.nodes[0].m.Tick(w.now + time.Second)
		w.want("init active")
	}
}

// TestFault: who must not serve leaves, whatever the priorities and even alone.
func TestFault(t *testing.T) {
	for _, beats := range []bool{true, false} {
		w := pair(t, setup{beats: beats, preempt: false})
		w.nodes[0].faults = []string{"no dataplane"}
		w.run(time.Second)
		w.want("fault active")
		w.nodes[1].faults = []string{"no listener"}
		w.run(time.Second)
		w.want("fault fault")
		w.nodes[0].faults = nil
		w.run(time.Second)
		w.want("active fault")
	}
}

// TestStopped: a process that was stopped finds its role gone and says nothing.
func TestStopped(t *testing.T) {
	w := pair(t, setup{beats: true, pings: true})
	w.nodes[0].frozen = true
	w.run(30 * time.Second)
	w.want("active active") // it believes so, but its words are closed
	if w.nodes[0].open() {
		w.fail("the words of a stopped process are open")
	}
	w.nodes[0].frozen = false
	announced := w.nodes[0].announce
	w.run(5 * time.Second)
	w.want("backup active")
	if w.nodes[0].announce != announced || len(w.nodes[1].changes) != 2 {
		w.fail("the process that went on disturbed the other one")
	}
}

// TestForged: all gateways hear each other, so adverts of strangers move nothing.
func TestForged(t *testing.T) {
	w := pair(t, setup{beats: true, pings: true, preempt: true})
	for _, priority := range []uint8{255, 0, 200, 1} {
		for i, n := range w.nodes {
			for range 50 {
				n.m.Advert(w.now, 0, Advert{Source: addrOf(0, 77), Own: addrOf(0, i), Priority: priority, Interval: 100 * time.Millisecond})
				n.run()
				w.run(5 * time.Millisecond)
			}
		}
		w.want("active backup")
	}
	w.wantAlarm(0, "foreign")
	for i, n := range w.nodes {
		if len(n.changes) != 2-i {
			w.fail("node %d changed %d times", i, len(n.changes))
		}
	}
}

// TestSuspect: adverts that are signed but not fresh keep the role where it is.
func TestSuspect(t *testing.T) {
	w := pair(t, setup{beats: false})
	w.cutLAN(0, 1)
	for range 100 {
		w.nodes[1].m.Suspect(w.now, 0)
		w.run(50 * time.Millisecond)
	}
	w.want("active backup")
	w.wantAlarm(1, "not_fresh")
	w.run(time.Second)
	w.dualOK = true
	w.want("backup active") // node 0 hears that node 1 does not hear it
}

// TestUnheeded: adverts pass one way only and there is no heartbeat, as where another
// make refuses ours. Who is heard keeps the role, and the other does not try again
// and again.
func TestUnheeded(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, setup{nodes: 2, seed: seed, preempt: true})
		w.run(2 * time.Second)
		w.want("active backup")
		for s := range w.segs {
			w.cut[[3]int{0, 1, s}] = true
		}
		w.dualOK = true // until node 0 notices
		w.run(2 * time.Second)
		w.want("backup active")
		w.dual, w.dualOK = -1, false
		w.run(20 * time.Second)
		w.want("backup active")
		w.wantAlarm(0, "claim_unanswered")
		if n := len(w.nodes[0].changes); n > 3 {
			w.fail("node 0 changed %d times", n)
		}
		for s := range w.segs {
			w.cut[[3]int{0, 1, s}] = false
		}
		w.nodes[1].m.Stop(w.now)
		w.nodes[1].run()
		w.run(time.Second)
		w.want("active init")
		w.wantAlarm(0, "")
	}
}

// TestRestartIntoFault: who finds the words of its predecessor open and must not serve
// closes them before anybody hears that the role is free.
func TestRestartIntoFault(t *testing.T) {
	for seed := range uint64(20) {
		w := pair(t, setup{seed: seed, beats: true})
		w.nodes[0].faults = []string{"no dataplane"}
		w.restart(w.nodes[0])
		w.run(time.Second)
		w.want("fault active")
	}
}

// TestSilenceOfAGateway: with heartbeats a gateway that is off is replaced three
// adverts and a quarter of the skew after its last advert, whenever it went.
func TestSilenceOfAGateway(t *testing.T) {
	const interval = 100 * time.Millisecond
	for seed := range uint64(50) {
		w := pair(t, setup{seed: seed, beats: true, pings: true})
		w.run(time.Duration(seed) * 7 * time.Millisecond)
		w.powerOff(0)
		w.run(3*interval + vrrp.Skew(100, interval)/4 + 3*w.maxDelay)
		if state, _ := w.nodes[1].m.State(); state != Active {
			w.fail("the backup is %v", state)
		}
	}
}

// TestGivenUp: by adverts alone it is told apart why a role was free.
func TestGivenUp(t *testing.T) {
	w := newWorld(t, setup{nodes: 2})
	w.run(2 * time.Second)
	w.want("active backup")
	w.nodes[0].m.Stop(w.now)
	w.nodes[0].run()
	w.run(time.Second)
	w.want("init active")
	if cause := w.nodes[1].m.Reason().Cause; cause != CauseFree {
		w.fail("the cause is %s", cause)
	}
	w = newWorld(t, setup{nodes: 2})
	w.run(2 * time.Second)
	w.nodes[0].dead = true
	w.run(time.Second)
	if cause := w.nodes[1].m.Reason().Cause; cause != CauseSilent {
		w.fail("the cause is %s", cause)
	}
}

// TestEqualPriorities: the greater address wins, by heartbeat and by adverts.
func TestEqualPriorities(t *testing.T) {
	w := newWorld(t, setup{nodes: 2, beats: true, priorities: []uint8{100, 100}, preempt: true})
	w.run(5 * time.Second)
	w.want("backup active")
	w = newWorld(t, setup{nodes: 2, priorities: []uint8{100, 100}})
	w.dualOK = true // both wait the same time
	w.run(5 * time.Second)
	w.want("backup active")
}
