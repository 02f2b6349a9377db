package heartbeat

import (
	"testing"
	"time"
)

// A program with three versions talks to each peer in the newest that both know,
// from the peer's first message on, also where that was refused.
func TestLinkTalksDown(t *testing.T) {
	l := NewLink(1, time.Second)
	l.versions, l.theirs = Versions{3, 1}, Versions{3, 1}
	var m Message
	speaks := func(want uint8) {
		t.Helper()
		if got := l.Stamp(&m, time.Unix(1, 0)); got != want || m.Versions != (Versions{3, 1}) {
			t.Errorf("speaks %d of %+v, want %d", got, m.Versions, want)
		}
	}
	speaks(3)
	l.LearnVersions(Versions{1, 1})
	speaks(1)
	echo := Echo{Boot: 1, Sequence: m.Sequence}
	if f := l.Receive(&Message{Boot: 2, Sequence: 1, Versions: Versions{2, 1}, Echo: echo}, time.Unix(1, 0)); f != Fresh {
		t.Fatal(f)
	}
	speaks(2)
	l.LearnVersions(Versions{9, 4})
	speaks(3)
}
