package vip

import (
	"net/netip"
	"testing"
	"time"

	"sluice/vip/auth"
	"sluice/vip/heartbeat"
	"sluice/vip/segment"
)

// talker is a gateway's end of a heartbeat link without a socket.
type talker struct {
	t *testing.T
	*beats
	wall time.Time
}

func newTalker(t *testing.T, node, other string) *talker {
	t.Helper()
	addr := map[string]netip.Addr{"gw-a": netip.MustParseAddr("169.254.1.1"), "gw-b": netip.MustParseAddr("169.254.1.0")}
	plan := samplePlan()
	c := &plan.Clusters[0]
	plan.Node, c.Heartbeat.Addr, c.Peers[0].Node, c.Peers[0].Heartbeat = node, addr[node], other, addr[other]
	d, held, _ := bench(plan)
	k := &talker{t: t, wall: time.Unix(1_800_000_000, 0)}
	d.clock = auth.NewClock(func() time.Time { return k.wall }, d.Now)
	held.log, held.node = discard, node
	var err error
	k.beats, err = newBeats(held)
	must(t, err)
	return k
}

// say makes a heartbeat as if it was sent a while ago.
func (k *talker) say(ago time.Duration) segment.Datagram {
	k.t.Helper()
	p := k.peers[0]
	m := k.message(k.c.machine.Beacon(0))
	spoken := p.link.Stamp(&m, time.Now().Add(-ago))
	text, err := heartbeat.Append(nil, &m, spoken, heartbeat.Path{Source: k.own, Destination: p.at.Addr()}, k.signer)
	must(k.t, err)
	return segment.Datagram{Peer: netip.AddrPortFrom(k.own, p.at.Port()), Payload: text}
}

func (k *talker) hear(d segment.Datagram) { k.judge(k.c.d.Now(), d) }

// Only an answer to what was said just now is a witness for the machine's clock: who
// sets it back, and keeps or records what others said before, cannot have this gateway
// go by that time.
func TestWitnessOfClock(t *testing.T) {
	for name, row := range map[string]struct {
		answer func(a, b *talker) segment.Datagram
		anchor bool
	}{
		"an answer": {func(a, b *talker) segment.Datagram { b.hear(a.say(0)); return b.say(0) }, true},
		"an answer to what was said long ago": {func(a, b *talker) segment.Datagram {
			b.hear(a.say(newsAge + time.Millisecond))
			return b.say(0)
		}, false},
		"kept until what it answers is forgotten": {func(a, b *talker) segment.Datagram {
			b.hear(a.say(0))
			kept := b.say(0)
			for range 300 {
				a.say(0)
			}
			return kept
		}, false},
		"of one that has heard nothing": {func(_, b *talker) segment.Datagram {
			b.peers[0].link = heartbeat.NewLink(b.boot, time.Second)
			for range 10 {
				b.say(0)
			}
			return b.say(0)
		}, false},
		"of a process that does not hear us": {func(_, _ *talker) segment.Datagram { return newTalker(t, "gw-b", "gw-a").say(0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newTalker(t, "gw-a", "gw-b"), newTalker(t, "gw-b", "gw-a")
			var recorded []segment.Datagram
			for range 3 {
				b.hear(a.say(0))
				one := b.say(0)
				recorded = append(recorded, one)
				a.hear(one)
			}
			if a.in != 3 {
				t.Fatalf("took %d heartbeats", a.in)
			}
			// Both are at the time of the steady clock; now the wall's goes back, to what it
			// was when the other one was wrong, as it is again.
			a.wall = a.wall.Add(-time.Hour)
			for _, one := range recorded {
				a.hear(one)
			}
			if d := a.c.d.clock.Drift(); d != -time.Hour {
				t.Fatalf("recordings have moved the clock: drift %v", d)
			}
			b.wall = a.wall
			b.c.d.clock.Reanchor()
			a.hear(row.answer(a, b))
			if d := a.c.d.clock.Drift(); (d == 0) != row.anchor {
				t.Errorf("drift %v", d)
			}
		})
	}
}
