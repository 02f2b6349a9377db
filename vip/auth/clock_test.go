package auth_test

import (
	"testing"
	"time"

	"sluice/vip/auth"
)

// F14: a step of the wall's clock, on either machine, both, or back again, loses
// no message and raises no alarm.
func TestClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Second, 5 * time.Second, time.Hour, -time.Second, -5 * time.Second, -time.Hour} {
		for _, where := range []string{"there", "here", "both"} {
			t.Run(where+step.String(), func(t *testing.T) {
				p := newPair(t)
				for i := range 50 {
					if i == 10 && where != "here" {
						p.there.step(step)
					}
					if i == 10 && where != "there" {
						p.here.step(step)
					}
					if i == 40 && where != "here" {
						p.there.step(-step)
					}
					pass(100*time.Millisecond, p.there, p.here)
					p.want("advert", p.verify(p.send()), auth.OK, false)
				}
			})
		}
	}
}

// Two clocks that run at different speeds come apart; the sender is followed
// out of the window, with an alarm, for as long as it is never lost.
func TestClocksDrift(t *testing.T) {
	p := newPair(t)
	alarms := 0
	for range 4000 {
		p.here.pass(100 * time.Millisecond)
		p.there.pass(110 * time.Millisecond)
		r := p.verify(p.send())
		if r.Verdict != auth.OK {
			t.Fatalf("lost at a skew of %v: %v", r.Skew, r.Verdict)
		}
		if r.Skewed != (r.Skew > window) {
			t.Fatalf("skewed %v at a skew of %v", r.Skewed, r.Skew)
		}
		if r.Skewed {
			alarms++
		}
	}
	if alarms < 3000 {
		t.Errorf("%d alarms", alarms)
	}
	old := p.send()
	pass(window+time.Second, p.here, p.there)
	p.want("after a gap by our clock", p.verify(old), auth.NotFresh, false)
	p.want("after a gap by both", p.verify(p.send()), auth.NotFresh, false)
}

// A recording of the sender held back for longer than the window is not fresh,
// whether or not the sender was known before.
func TestHeldBack(t *testing.T) {
	p := newPair(t)
	p.want("live", p.verify(p.send()), auth.OK, false)
	var held [][]byte
	for range 10 {
		pass(time.Second, p.there, p.here)
		held = append(held, p.send())
	}
	for _, b := range held[:4] {
		p.want("held", p.verify(b), auth.NotFresh, false)
	}
	p.want("still in the window", p.verify(held[5]), auth.OK, false)
}

// A machine that was stopped has both clocks behind. It understands the others
// again as soon as its wall clock is right, and is understood once it has
// anchored anew.
func TestStoppedMachine(t *testing.T) {
	p := newPair(t)
	p.want("before", p.verify(p.send()), auth.OK, false)
	p.there.pass(time.Minute)
	p.want("not running here", p.verify(p.send()), auth.NotFresh, false)
	p.here.step(time.Minute)
	p.want("wall clock corrected", p.verify(p.send()), auth.OK, false)

	p = newPair(t)
	there := p.there.clock()
	p.signer = auth.NewSigner(keySet(t, 1, map[uint8][]byte{1: secret}), there)
	p.want("before", p.verify(p.send()), auth.OK, false)
	p.here.pass(time.Minute)
	p.there.step(time.Minute)
	if d := there.Drift(); d != time.Minute {
		t.Errorf("drift %v", d)
	}
	p.want("not running there", p.verify(p.send()), auth.NotFresh, false)
	there.Reanchor()
	p.want("anchored anew", p.verify(p.send()), auth.OK, false)
	if d := there.Drift(); d != 0 {
		t.Errorf("drift %v", d)
	}
}

// Senders that follow their wall clocks are understood again within a window
// after both clocks were set wrong and right again, and meanwhile it is known
// that they live. Nothing from before breaks in on them.
func TestStrandedMark(t *testing.T) {
	p := newPair(t)
	early := p.send()
	pass(time.Second, p.there, p.here)
	p.want("before", p.verify(p.send()), auth.OK, false)
	for _, w := range []*world{p.there, p.here} {
		w.step(time.Hour)
	}
	p.restartThere()
	p.want("both set wrong", p.verify(p.send()), auth.OK, false)
	p.want("recording from before", p.verify(early), auth.Replayed, false)
	p.here.step(-time.Hour)
	p.want("recording while ahead", p.verify(early), auth.NotFresh, false)
	p.want("the same again", p.verify(early), auth.Replayed, false)
	p.there.step(-time.Hour)
	p.restartThere()
	for range 50 {
		pass(100*time.Millisecond, p.there, p.here)
		p.want("both set right", p.verify(p.send()), auth.NotFresh, false)
	}
	for range 50 {
		pass(100*time.Millisecond, p.there, p.here)
		p.want("after a window", p.verify(p.send()), auth.OK, false)
	}
	p.want("recording at last", p.verify(early), auth.Replayed, false)
}

// A signer whose clock is anchored back a little goes on growing; far back, it
// follows the clock.
func TestReanchorBack(t *testing.T) {
	for step, want := range map[time.Duration]auth.Verdict{-time.Second: auth.OK, -4 * time.Second: auth.OK, -time.Hour: auth.Replayed} {
		p := newPair(t)
		there := p.there.clock()
		p.signer = auth.NewSigner(keySet(t, 1, map[uint8][]byte{1: secret}), there)
		p.want("before", p.verify(p.send()), auth.OK, false)
		p.there.step(step)
		there.Reanchor()
		p.want(step.String(), p.verify(p.send()), want, false)
		p.restartHere()
		p.here.step(step)
		p.want(step.String()+" to others", p.verify(p.send()), auth.OK, false)
	}
}

// Whoever can set back our wall clock cannot make recordings of a dead sender
// count as its word.
func TestWallSetBackForReplay(t *testing.T) {
	p := newPair(t)
	early := p.send()
	p.want("early", p.verify(early), auth.OK, false)
	for range 600 {
		pass(time.Second, p.there, p.here)
		p.want("alive", p.verify(p.send()), auth.OK, false)
	}
	p.here.pass(time.Minute)
	p.here.step(-11 * time.Minute)
	p.want("recording", p.verify(early), auth.Replayed, false)
}
