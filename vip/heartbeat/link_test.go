package heartbeat_test

import (
	"testing"
	"time"
	"unsafe"

	"sluice/vip/heartbeat"
)

const (
	interval = 100 * time.Millisecond
	timeout  = 300 * time.Millisecond
)

// gateway is one end of a link.
type gateway struct {
	link *heartbeat.Link
	boot heartbeat.Boot
}

func boot(id heartbeat.Boot) *gateway {
	return &gateway{heartbeat.NewLink(id, timeout), id}
}

// pair is two gateways and the time. A message takes delay to the other end.
type pair struct {
	*testing.T
	now   time.Time
	delay time.Duration
	a, b  *gateway
}

func newPair(t *testing.T) *pair {
	return &pair{T: t, now: time.Unix(1_000_000, 0), delay: 2 * time.Millisecond, a: boot(0xa), b: boot(0xb)}
}

func (p *pair) send(g *gateway) *heartbeat.Message {
	var m heartbeat.Message
	if spoken := g.link.Stamp(&m, p.now); spoken != 1 {
		p.Fatalf("speaks version %d", spoken)
	}
	return &m
}

// get lets a gateway receive a message, delay after now.
func (p *pair) get(g *gateway, m *heartbeat.Message, want heartbeat.Freshness) {
	p.Helper()
	if f := g.link.Receive(m, p.now.Add(p.delay)); f != want {
		p.Fatalf("message %d of %x: %v, want %v", m.Sequence, m.Boot, f, want)
	}
}

// exchange lets both send once, after an interval; lost says whose is lost.
func (p *pair) exchange(loseA, loseB bool) {
	p.now = p.now.Add(interval)
	a, b := p.send(p.a), p.send(p.b)
	arrived := p.now.Add(p.delay)
	if !loseA {
		p.b.link.Receive(a, arrived)
	}
	if !loseB {
		p.a.link.Receive(b, arrived)
	}
}

func (p *pair) meet() *pair {
	for range 3 {
		p.exchange(false, false)
	}
	if !p.status(p.a).Alive || !p.status(p.b).Alive {
		p.Fatal("did not meet")
	}
	return p
}

func (p *pair) status(g *gateway) heartbeat.Status { return g.link.Status(p.now) }

// First contact is believed after one round trip, and not before.
func TestFirstContact(t *testing.T) {
	p := newPair(t)
	if s := p.status(p.a); s != (heartbeat.Status{}) {
		t.Errorf("knows %+v of nobody", s)
	}
	p.get(p.a, p.send(p.b), heartbeat.Unproven)
	if s := p.a.link.Status(p.now.Add(p.delay)); s.Alive || !s.Unproven || s.Boot != 0 {
		t.Errorf("after an unproven message: %+v", s)
	}
	if _, ok := p.a.link.Last(); ok {
		t.Error("believes an unproven message")
	}
	p.get(p.b, p.send(p.a), heartbeat.Fresh)
	p.get(p.a, p.send(p.b), heartbeat.Fresh)
	for range 5 {
		p.get(p.b, p.send(p.a), heartbeat.Fresh)
	}
	if s := p.status(p.a); !s.Alive || s.Boot != p.b.boot || s.Restarts != 0 {
		t.Errorf("after the round trip: %+v", s)
	}
	p.now = p.now.Add(timeout + p.delay)
	if s := p.status(p.a); !s.Alive || s.Age != timeout {
		t.Errorf("at the timeout: %+v", s)
	}
	p.now = p.now.Add(time.Nanosecond)
	if s := p.status(p.a); s.Alive || s.PeerHears != heartbeat.HearingUnknown || s.Unproven {
		t.Errorf("after the timeout: %+v", s)
	}
	p.a.link.SetTimeout(time.Second)
	if s := p.status(p.a); !s.Alive {
		t.Errorf("with a longer timeout: %+v", s)
	}
}

func TestReplays(t *testing.T) {
	p := newPair(t).meet()
	first, second, third := p.send(p.b), p.send(p.b), p.send(p.b)
	p.get(p.a, second, heartbeat.Fresh)
	p.get(p.a, second, heartbeat.Replayed)
	p.get(p.a, first, heartbeat.Late)
	p.get(p.a, first, heartbeat.Replayed)
	p.get(p.a, third, heartbeat.Fresh)
	for range 100 {
		p.get(p.a, p.send(p.b), heartbeat.Fresh)
	}
	p.get(p.a, first, heartbeat.Replayed)
	p.get(p.a, p.send(p.a), heartbeat.Reflected)
	if last, _ := p.a.link.Last(); last.Sequence != third.Sequence+100 {
		t.Errorf("believes message %d", last.Sequence)
	}
}

// An echo shows that a run hears us only if it is of our run, and recent.
func TestEchoMustBeRecent(t *testing.T) {
	for _, row := range []struct {
		name string
		echo func(p *pair) heartbeat.Echo
		want heartbeat.Freshness
	}{
		{"the latest", func(p *pair) heartbeat.Echo { return heartbeat.Echo{Boot: p.a.boot, Sequence: 100} }, heartbeat.Fresh},
		{"just recent", func(p *pair) heartbeat.Echo { return heartbeat.Echo{Boot: p.a.boot, Sequence: 101 - heartbeat.Recent} }, heartbeat.Fresh},
		{"too old", func(p *pair) heartbeat.Echo { return heartbeat.Echo{Boot: p.a.boot, Sequence: 100 - heartbeat.Recent} }, heartbeat.Unproven},
		{"not yet sent", func(p *pair) heartbeat.Echo { return heartbeat.Echo{Boot: p.a.boot, Sequence: 101} }, heartbeat.Unproven},
		{"of a former run", func(*pair) heartbeat.Echo { return heartbeat.Echo{Boot: 0xaa, Sequence: 100} }, heartbeat.Unproven},
		{"none", func(*pair) heartbeat.Echo { return heartbeat.Echo{} }, heartbeat.Unproven},
		{"beyond all", func(p *pair) heartbeat.Echo { return heartbeat.Echo{Boot: p.a.boot, Sequence: 1<<64 - 1} }, heartbeat.Unproven},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPair(t)
			for range 100 {
				p.send(p.a)
			}
			p.get(p.a, &heartbeat.Message{Boot: 0xb, Sequence: 5, Echo: row.echo(p)}, row.want)
			if row.want == heartbeat.Unproven {
				p.get(p.a, &heartbeat.Message{Boot: 0xb, Sequence: 5, Echo: row.echo(p)}, heartbeat.Replayed)
			}
		})
	}
}

// A restarted peer is recognised within a round trip; what its former run sent
// is refused from then on, also what was held back.
func TestRestart(t *testing.T) {
	p := newPair(t).meet()
	old := p.send(p.b)
	heldBack := p.send(p.b)
	p.get(p.a, old, heartbeat.Fresh)
	p.b = boot(0xb2)
	p.get(p.a, p.send(p.b), heartbeat.Unproven)
	p.get(p.b, p.send(p.a), heartbeat.Unproven)
	p.get(p.a, p.send(p.b), heartbeat.Restarted)
	if s := p.status(p.a); !s.Alive || s.Boot != 0xb2 || s.Restarts != 1 {
		t.Errorf("after the restart: %+v", s)
	}
	p.get(p.a, heldBack, heartbeat.OldBoot)
	p.get(p.a, old, heartbeat.OldBoot)
	p.get(p.b, p.send(p.a), heartbeat.Fresh)
	p.get(p.a, p.send(p.b), heartbeat.Fresh)
	if s := p.status(p.b); !s.Alive || s.PeerHears != heartbeat.HearingYes {
		t.Errorf("the other way: %+v", s)
	}
}

// A former run that was never proven, and whose proof was held back until its
// successor was known, does not put the successor out.
func TestHeldBackProof(t *testing.T) {
	p := newPair(t)
	former := boot(0xb1)
	p.get(former, p.send(p.a), heartbeat.Unproven)
	heldBack := p.send(former)
	p.get(p.b, p.send(p.a), heartbeat.Unproven)
	p.get(p.a, p.send(p.b), heartbeat.Fresh)
	p.get(p.a, heldBack, heartbeat.Unproven)
	p.get(p.b, p.send(p.a), heartbeat.Fresh)
	p.get(p.a, p.send(p.b), heartbeat.Fresh)
	p.get(p.a, heldBack, heartbeat.Replayed)
}

// Both restart at once, many times over; they always meet again.
func TestManyRestarts(t *testing.T) {
	p := newPair(t).meet()
	for i := range heartbeat.Boot(50) {
		if i%3 != 0 {
			p.a = boot(0x1000 + i)
		}
		if i%3 != 1 {
			p.b = boot(0x2000 + i)
		}
		p.meet()
	}
	if s := p.status(p.b); s.Boot != p.a.boot {
		t.Errorf("%+v", s)
	}
}

// The peer is answered in a version that it speaks, once that is known.
func TestTalksDown(t *testing.T) {
	link := heartbeat.NewLink(1, timeout)
	var m heartbeat.Message
	if link.Stamp(&m, time.Unix(1, 0)); m.Versions != heartbeat.Ours {
		t.Errorf("versions %+v", m.Versions)
	}
	link.LearnVersions(heartbeat.Versions{Own: 9, Oldest: 1})
	if spoken := link.Stamp(&m, time.Unix(2, 0)); spoken != 1 {
		t.Errorf("speaks %d", spoken)
	}
}

func TestLinkIsBounded(t *testing.T) {
	if size := unsafe.Sizeof(heartbeat.Link{}); size > 8<<10 {
		t.Errorf("%d bytes", size)
	}
	p := newPair(t).meet()
	m := &heartbeat.Message{}
	if n := testing.AllocsPerRun(1000, func() {
		p.a.link.Stamp(m, p.now)
		p.b.link.Receive(m, p.now)
		_ = p.b.link.Status(p.now)
	}); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// How old a message may be is told by what it echoes, and by nothing of its sender's.
func TestAge(t *testing.T) {
	p := newPair(t).meet()
	p.now = p.now.Add(interval)
	p.get(p.b, p.send(p.a), heartbeat.Fresh)
	m := p.send(p.b)
	for _, kept := range []time.Duration{0, timeout, time.Hour} {
		if age, proven := p.a.link.Age(m, p.now.Add(kept)); !proven || age != kept {
			t.Errorf("kept for %v: %v, %v", kept, age, proven)
		}
	}
	for range 256 {
		p.send(p.a)
	}
	if age, proven := p.a.link.Age(m, p.now); proven {
		t.Errorf("answers what is forgotten: %v", age)
	}
	m.Echo.Sequence = 1 << 40
	if age, proven := p.a.link.Age(m, p.now); proven {
		t.Errorf("answers what was never sent: %v", age)
	}
	m.Echo.Sequence, m.Echo.Boot = p.send(p.a).Sequence, 0xc
	if age, proven := p.a.link.Age(m, p.now); proven {
		t.Errorf("answers another process: %v", age)
	}
}
