package election

import (
	"testing"
	"time"
)

// TestDeafAfterAStop: a node that was stopped is not heard for that long, and its
// peer, which says that it is a backup, may be about to take over. Only a peer that
// does not hear however long this node speaks has no say.
func TestDeafAfterAStop(t *testing.T) {
	m := New(Config{
		Priority: 150, Impaired: 2, Ranks: 2, Interval: 100 * time.Millisecond,
		BeatInterval: 50 * time.Millisecond, BeatTimeout: 150 * time.Millisecond, Peers: []Peer{{Node: "b"}}, Segments: 1,
	})
	beat := Heartbeat{State: Backup, Priority: 100, Healthy: true, LinksOK: true, PingsOK: true, HearsUs: true}
	now := time.Second
	m.Local(now, Local{})
	pass := func(d time.Duration, h Heartbeat) {
		for end := now + d; now < end; now += 10 * time.Millisecond {
			h.Grant = m.claiming.number
			m.Heartbeat(now, 0, h)
			m.Tick(now)
		}
	}
	pass(time.Second, beat)
	if m.state != Active {
		t.Fatalf("with a peer that agrees it is %v", m.state)
	}
	now += 400 * time.Millisecond // it does not run
	m.Tick(now)
	if m.state != Backup {
		t.Fatalf("after a stop it is %v", m.state)
	}
	beat.HearsUs = false
	deaf := func(d time.Duration) {
		for end := now + d; now < end; now += 10 * time.Millisecond {
			m.Heartbeat(now, 0, beat)
			m.Tick(now)
		}
	}
	deaf(300 * time.Millisecond)
	if m.state != Backup {
		t.Fatal("it took the role that its peer may be about to take")
	}
	deaf(time.Second)
	if m.state != Active {
		t.Fatal("a peer that never hears it keeps it from the role")
	}
}
