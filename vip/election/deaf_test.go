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
		Pings: true, Settle: 300 * time.Millisecond,
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
	if m.state != Backup || m.reason.Cause != CauseStopped {
		t.Fatalf("after a stop it is %v because of %s", m.state, m.reason.Cause)
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

// TestClaimBeforeHeartbeat: what a node claims while it only knows adverts it does
// not claim any more once the heartbeat tells that it stands behind.
func TestClaimBeforeHeartbeat(t *testing.T) {
	m := New(Config{
		Priority: 100, Impaired: 2, Ranks: 2, Interval: 100 * time.Millisecond, Preempt: true,
		BeatInterval: 50 * time.Millisecond, BeatTimeout: 150 * time.Millisecond, Peers: []Peer{{Node: "a", Address: addrOf(9, 9)}},
		Address: addrOf(9, 1), Segments: 1,
	})
	now := time.Second
	m.Local(now, Local{Synced: true})
	advert := Advert{Source: addrOf(0, 1), Own: addrOf(0, 2), Priority: 100, Interval: 100 * time.Millisecond}
	m.Advert(now, 0, advert)
	if !m.claiming.adverts {
		t.Fatal("by adverts alone it stands before, and does not claim")
	}
	for range 300 {
		now += 10 * time.Millisecond
		m.Heartbeat(now, 0, Heartbeat{State: Active, Priority: 100, Healthy: true, LinksOK: true, PingsOK: true, HearsUs: true})
		m.Advert(now, 0, advert)
	}
	if m.state != Backup || len(m.Alarms()) > 0 {
		t.Errorf("it is %v with alarms %+v", m.state, m.Alarms())
	}
}
