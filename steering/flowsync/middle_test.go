package flowsync

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// middle is a man in the middle: he does something to what the dialling end
// writes after the handshake, until he stops.
type middle struct {
	net.Conn
	man *man
	// past are whole records that went by.
	past [][]byte
	held []byte
}

type man struct {
	mu     sync.Mutex
	does   string
	rng    *rand.Rand
	did    int
	active bool
}

func (m *middle) Write(p []byte) (int, error) {
	m.man.mu.Lock()
	out := m.man.change(m, bytes.Clone(p))
	m.man.mu.Unlock()
	if len(out) > 0 {
		if _, err := m.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// change returns what goes on instead of a record; mu must be held.
func (m *man) change(c *middle, p []byte) []byte {
	c.past = append(c.past, bytes.Clone(p))
	if c.held != nil {
		p, c.held = append(p, c.held...), nil
		return p
	}
	if !m.active || len(c.past) < 5 || m.rng.IntN(5) > 0 {
		return p
	}
	m.did++
	switch m.does {
	case "flips a bit":
		p[m.rng.IntN(len(p))] ^= 1 << m.rng.IntN(8)
	case "drops a record":
		return nil
	case "drops a byte":
		i := m.rng.IntN(len(p))
		return append(p[:i], p[i+1:]...)
	case "repeats a record":
		return append(p, p...)
	case "replays an old record":
		return append(bytes.Clone(c.past[2+m.rng.IntN(len(c.past)-2)]), p...)
	case "reorders":
		c.held = p
		return nil
	case "adds bytes":
		return append([]byte{0, 20, 1, 2}, p...)
	case "truncates":
		return p[:m.rng.IntN(len(p))]
	}
	return p
}

// Whatever is done to a connection ends it; nothing that was not sent is
// imported, and when it stops the tables become equal.
func TestAManInTheMiddleChangesNothing(t *testing.T) {
	for _, does := range []string{
		"flips a bit", "drops a record", "drops a byte", "repeats a record", "replays an old record", "reorders", "adds bytes", "truncates",
	} {
		t.Run(does, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { meet(t, does) })
		})
	}
}

func meet(t *testing.T, does string) {
	r := newRig(t, "gw-a", "gw-b")
	m := &man{does: does, rng: rand.New(rand.NewPCG(1, uint64(len(does)))), active: true}
	r.net.between = func(c net.Conn) net.Conn {
		if c.LocalAddr().String()[:11] != "169.254.1.0" {
			return c
		}
		return &middle{Conn: c, man: m}
	}
	a, b := r.nodes[0], r.nodes[1]
	// was is all that a's table ever held.
	was := map[Flow]bool{}
	var mu sync.Mutex
	b.table.imported = func(flows []Flow) {
		mu.Lock()
		defer mu.Unlock()
		for _, f := range flows {
			f.Opened, f.Idle = 0, 0
			if !was[f] {
				t.Errorf("imported %+v, which was never sent", f)
			}
		}
	}
	r.start(a)
	r.start(b)
	r.roles(0, 1)
	for i := range 300 {
		f := flow(i%40, i%5)
		mu.Lock()
		was[f] = true
		mu.Unlock()
		a.put(f)
		if i%3 == 0 {
			a.drop(key((i + 20) % 40))
		}
		time.Sleep(30 * time.Millisecond)
	}
	st := a.send(b)
	m.mu.Lock()
	m.active = false
	did := m.did
	m.mu.Unlock()
	if did < 3 || st.Connects < 3 {
		t.Errorf("he did it %d times, and there were %d connections", did, st.Connects)
	}
	settle(20 * time.Second)
	r.same(a, b)
	if !b.sync.Synced("edge") {
		t.Error(fmt.Sprint("not synced: ", b.sync.Status()))
	}
}
