package stall

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLongest(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	w := &Watcher{worth: 100 * time.Millisecond, until: start}
	for _, ms := range []int{5, 10, 100, 205, 400, 405, 700} { // 105 is short of 100 and one look
		w.look(at(ms))
	}
	for since, want := range map[int]int{0: 290, 399: 290, 400: 290, 690: 290, 700: 0} {
		if got := w.Longest(at(since)); got != time.Duration(want)*time.Millisecond {
			t.Errorf("since %d ms: %v, want %d ms", since, got, want)
		}
	}
	w = &Watcher{worth: 100 * time.Millisecond, until: start}
	w.look(at(195))
	w.look(at(300))
	if got := w.Longest(at(196)); got != 100*time.Millisecond {
		t.Errorf("one that begins before: %v", got)
	}
	if got := w.Longest(at(301)); got != 0 {
		t.Errorf("one that was over: %v", got)
	}
}

func TestWhoIsRunSeesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Watch(Every)
		began := time.Now()
		time.Sleep(time.Hour)
		w.Close()
		if got := w.Longest(began); got != 0 {
			t.Errorf("it saw %v", got)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	w := &Watcher{until: time.Now()}
	for i := range 2 * kept {
		w.look(time.Now().Add(time.Duration(i) * time.Second))
	}
	if len(w.seen) > kept {
		t.Errorf("%d stalls are kept", len(w.seen))
	}
}
