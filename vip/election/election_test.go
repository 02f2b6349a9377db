package election

import (
	"testing"
	"time"
)

func TestStart(t *testing.T) {
	for _, s := range []setup{
		{nodes: 2, beats: true, pings: true}, {nodes: 2, beats: true}, {nodes: 2}, {nodes: 3, beats: true, pings: true}, {nodes: 3},
	} {
		w := newWorld(t, s)
		w.run(2 * time.Second)
		want := "active backup"
		if s.nodes == 3 {
			want += " backup"
		}
		w.want(want)
		w.run(time.Minute)
		w.want(want)
		if n := len(w.nodes[0].changes); n != 2 {
			w.fail("%d changes of the active node, want 2", n)
		}
	}
}

func TestAlone(t *testing.T) {
	w := newWorld(t, setup{nodes: 1})
	w.run(time.Second)
	w.want("active")
	if w.nodes[0].wordUntil != 0 {
		w.fail("the word has a deadline without another gateway")
	}
}

func TestPowerOff(t *testing.T) {
	for _, s := range []setup{{nodes: 2, beats: true, pings: true}, {nodes: 2, beats: true}, {nodes: 2}} {
		w := newWorld(t, s)
		w.run(2 * time.Second)
		w.powerOff(0)
		at := w.now
		for w.now < at+time.Second && !w.nodes[1].open() {
			w.run(time.Millisecond)
		}
		if gap := w.now - at; gap > 370*time.Millisecond {
			w.fail("it took %v, want at most 3 intervals and the skew", gap)
		}
		w.want("dead active")
		w.nodes[0].boot()
		w.run(5 * time.Second)
		w.want("backup active") // no preempting
	}
}
