package auth_test

import (
	"testing"
	"time"

	"sluice/vip/auth"
)

// told is what a message of a gateway says of its clock.
func (p *pair) told() auth.Sequence { return auth.SequenceOf(p.send()) }

// An anchor is wrong only where others go by the wall's time and not by the steady
// one; a wall that was set wrong is no reason.
func TestWitnesses(t *testing.T) {
	const hour = time.Hour
	for name, row := range map[string]struct {
		wall  time.Duration   // what the wall is ahead of the steady time
		other []time.Duration // and the others'
		wrong bool
		apart int
	}{
		"nobody":                          {hour, nil, false, 0},
		"all well":                        {0, []time.Duration{0}, false, 0},
		"in the window":                   {window, []time.Duration{window}, false, 0},
		"set right, forwards":             {hour, []time.Duration{hour}, true, 1},
		"set right, backwards":            {-hour, []time.Duration{-hour}, true, 1},
		"set right, nearly":               {hour, []time.Duration{hour + window}, true, 1},
		"set wrong":                       {hour, []time.Duration{0}, false, 1},
		"nobody's time":                   {hour, []time.Duration{-hour}, false, 1},
		"theirs is wrong":                 {0, []time.Duration{hour}, false, 1},
		"one goes by the wall's":          {hour, []time.Duration{hour, 0}, true, 2},
		"more go by the steady":           {hour, []time.Duration{hour, 0, 0}, false, 3},
		"who goes by another tells not":   {hour, []time.Duration{hour, -hour, -hour}, true, 3},
		"who goes by both tells not":      {window + 1, []time.Duration{window, window}, false, 0},
		"who goes by both keeps no other": {window, []time.Duration{window + window, 0, 0}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			clock := p.here.clock()
			w := auth.NewWitnesses(clock, window)
			p.here.step(row.wall)
			for i, ahead := range row.other {
				p.there.step(ahead)
				p.restartThere()
				w.Say(string(rune('a'+i)), p.told())
				p.there.step(-ahead)
			}
			if got := w.Wrong(); got != row.wrong {
				t.Errorf("wrong: %v", got)
			}
			if got := w.Apart(); len(got) != row.apart {
				t.Errorf("apart: %v, want %d", got, row.apart)
			}
		})
	}
}

// What a witness said goes on with time, and counts for a while only.
func TestWitnessLife(t *testing.T) {
	p := newPair(t)
	clock := p.here.clock()
	w := auth.NewWitnesses(clock, time.Second)
	p.there.step(time.Hour)
	p.restartThere()
	w.Say("a", p.told())
	p.here.pass(5 * time.Second)
	p.here.step(time.Hour)
	if a := w.Apart(); !w.Wrong() || len(a) != 1 || a[0].Who != "a" || a[0].Steady.Round(time.Millisecond) != time.Hour || a[0].Wall.Abs() > time.Millisecond {
		t.Errorf("after a while: %v", a)
	}
	p.here.pass(time.Millisecond)
	if w.Wrong() || len(w.Apart()) > 0 {
		t.Errorf("counts for ever")
	}
}

// A machine that started with a wrong clock is understood as soon as it signs by the
// right one, and understands: nobody's recordings break in with that, of before or of
// after.
func TestReanchorAndReplay(t *testing.T) {
	for _, wrong := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(wrong.String(), func(t *testing.T) {
			p := newPair(t)
			p.here.step(wrong)
			p.restartHere()
			clock := p.here.clock()
			p.verifier = auth.NewVerifier(keySet(t, 1, map[uint8][]byte{1: secret}), window, clock)
			var recorded [][]byte
			send := func() []byte {
				pass(100*time.Millisecond, p.there, p.here)
				b := p.send()
				recorded = append(recorded, b)
				return b
			}
			p.want("wrong clock", p.verify(send()), auth.NotFresh, false)
			p.here.step(-wrong)
			p.want("wall right", p.verify(send()), auth.OK, false)
			clock.Reanchor()
			replay := func(what string) {
				t.Helper()
				for _, b := range recorded {
					if r := p.verify(b); r.Verdict != auth.Replayed {
						t.Errorf("%s: a recording is %v", what, r.Verdict)
					}
				}
			}
			replay("anchored anew")
			for range 20 {
				p.want("goes on", p.verify(send()), auth.OK, false)
			}
			replay("later")
			// Whoever sets the clock back, and keeps the sender away, has nothing from it:
			// he has no witness.
			pass(2*window, p.there, p.here)
			for back := range 120 {
				p.here.step(-time.Minute)
				if back%20 == 0 {
					replay("the clock is set back")
				}
			}
		})
	}
}
