package heartbeat_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sluice/vip/heartbeat"
)

func near(a, b float64) bool { return math.Abs(a-b) < 0.001 }

func TestRoundTripTime(t *testing.T) {
	p := newPair(t)
	for _, delay := range []time.Duration{2 * time.Millisecond, 30 * time.Millisecond, 0} {
		p.delay = delay
		p.meet()
		for _, g := range []*gateway{p.a, p.b} {
			if s := p.status(g); s.RoundTrip != 2*delay {
				t.Errorf("round trip %v, want %v", s.RoundTrip, 2*delay)
			}
		}
	}
}

// Lost messages are told by direction at both ends, and forgotten after 64.
func TestLossEachWay(t *testing.T) {
	for _, row := range []struct {
		name           string
		loseA, loseB   int // every so many of a's, b's messages are lost
		aToB, bToA     float64
		aHears, bHears heartbeat.Hearing
	}{
		{"none", 0, 0, 0, 0, heartbeat.HearingYes, heartbeat.HearingYes},
		{"one way", 4, 0, 0.25, 0, heartbeat.HearingYes, heartbeat.HearingYes},
		{"the other way", 0, 2, 0, 0.5, heartbeat.HearingYes, heartbeat.HearingYes},
		{"both", 4, 8, 0.25, 0.125, heartbeat.HearingYes, heartbeat.HearingYes},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPair(t).meet()
			for i := range 131 {
				p.exchange(row.loseA > 0 && i%row.loseA == 0, row.loseB > 0 && i%row.loseB == 0)
			}
			a, b := p.status(p.a), p.status(p.b)
			// Where messages are lost, what is told of them is up to two old.
			if math.Abs(a.LossOut-row.aToB) > 0.04 || math.Abs(b.LossIn-row.aToB) > 0.02 {
				t.Errorf("a to b: a says %v, b says %v, want %v", a.LossOut, b.LossIn, row.aToB)
			}
			if math.Abs(b.LossOut-row.bToA) > 0.04 || math.Abs(a.LossIn-row.bToA) > 0.02 {
				t.Errorf("b to a: b says %v, a says %v, want %v", b.LossOut, a.LossIn, row.bToA)
			}
			if a.PeerHears != row.aHears || b.PeerHears != row.bHears {
				t.Errorf("hearing %v and %v", a.PeerHears, b.PeerHears)
			}
			for range 70 {
				p.exchange(false, false)
			}
			if a := p.status(p.a); a.LossIn != 0 || a.LossOut != 0 {
				t.Errorf("remembers %v and %v for too long", a.LossIn, a.LossOut)
			}
		})
	}
}

// F7 on the heartbeat link: all of a's messages are lost, none of b's. Both ends
// say so: b hears nothing, a hears that it is not heard.
func TestOneWayLoss(t *testing.T) {
	p := newPair(t).meet()
	for range 70 {
		p.exchange(false, false)
	}
	var told time.Duration
	for i := range 300 {
		p.exchange(true, false)
		if p.status(p.a).PeerHears == heartbeat.HearingNo && told == 0 {
			told = time.Duration(i+1) * interval
		}
	}
	if told == 0 || told > timeout+2*interval {
		t.Errorf("told after %v", told)
	}
	a, b := p.status(p.a), p.status(p.b)
	if !a.Alive || a.PeerHears != heartbeat.HearingNo || a.LossIn != 0 || !near(a.LossOut, 1) {
		t.Errorf("a: %+v", a)
	}
	if b.Alive || b.PeerHears != heartbeat.HearingUnknown {
		t.Errorf("b: %+v", b)
	}
	for range 2 {
		p.exchange(false, false)
	}
	if a := p.status(p.a); a.PeerHears != heartbeat.HearingYes {
		t.Errorf("healed: %+v", a)
	}
	// It grows as it goes: half of the last 64 by now.
	p = newPair(t).meet()
	for range 70 {
		p.exchange(false, false)
	}
	for range 33 {
		p.exchange(true, false)
	}
	if a := p.status(p.a); math.Abs(a.LossOut-0.5) > 0.04 {
		t.Errorf("half lost: %v", a.LossOut)
	}
}

// From the first message on, a gateway that is not heard is not believed, and
// the other can see that somebody is there.
func TestOneWayFromStart(t *testing.T) {
	p := newPair(t)
	for range 100 {
		p.exchange(true, false)
	}
	if s := p.a.link.Status(p.now.Add(p.delay)); s.Alive || !s.Unproven {
		t.Errorf("%+v", s)
	}
}

// Whatever is lost, delayed or doubled, numbers stay within bounds, a message is
// fresh at most once, and none that was overtaken is.
func TestAnyNetwork(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		p := newPair(t)
		var onTheWay []*heartbeat.Message
		highest := map[heartbeat.Boot]uint64{}
		for range 300 {
			p.now = p.now.Add(time.Duration(r.IntN(200)) * time.Millisecond)
			onTheWay = append(onTheWay, p.send(p.a), p.send(p.b))
			for range r.IntN(4) {
				m := onTheWay[r.IntN(len(onTheWay))]
				g := p.a
				if m.Boot == p.a.boot {
					g = p.b
				}
				if f := g.link.Receive(m, p.now); f.IsState() {
					if m.Sequence <= highest[m.Boot] {
						t.Fatalf("message %d is fresh after %d", m.Sequence, highest[m.Boot])
					}
					highest[m.Boot] = m.Sequence
				}
			}
			for _, g := range []*gateway{p.a, p.b} {
				s := p.status(g)
				if s.LossIn < 0 || s.LossIn > 1 || s.LossOut < 0 || s.LossOut > 1 || s.RoundTrip < 0 || s.Age < 0 || s.Alive && s.Boot == 0 {
					t.Fatalf("%+v", s)
				}
			}
		}
	}
}

// A message that took longer than others is not taken for lost.
func TestJitterIsNoLoss(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	p := newPair(t).meet()
	type flight struct {
		at time.Time
		to *gateway
		m  *heartbeat.Message
	}
	var flights []flight
	for range 20_000 {
		p.now = p.now.Add(time.Millisecond)
		for _, g := range []*gateway{p.a, p.b} {
			if r.IntN(100) == 0 {
				to := map[bool]*gateway{true: p.b, false: p.a}[g == p.a]
				flights = append(flights, flight{p.now.Add(time.Duration(1+r.IntN(80)) * time.Millisecond), to, p.send(g)})
			}
		}
		var still []flight
		for _, f := range flights {
			if f.at.After(p.now) {
				still = append(still, f)
				continue
			}
			if f.to.link.Receive(f.m, p.now).IsState() {
				if s := p.status(f.to); s.LossOut != 0 {
					t.Fatalf("nothing was lost: %+v", s)
				}
			}
		}
		flights = still
	}
}
