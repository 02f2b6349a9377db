package loader_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"sluice/loader"
)

// reset closes a connection by a reset instead of a FIN.
func reset(t *testing.T, c net.Conn) {
	t.Helper()
	must(t, c.(*net.TCPConn).SetLinger(0))
	must(t, c.Close())
}

// dying is a connection that is to expire.
type dying struct {
	conn  net.Conn
	far   net.Conn
	state loader.FlowState
	lives time.Duration
	quiet time.Time // not before the last packet of it
}

// shortLives are lifetimes a test can wait for.
var shortLives = loader.Lifetimes{
	Closed: 1 * tick, HalfClosed: 2 * tick, Established: 3 * tick, Embryo: 1 * tick, Young: 1 * tick,
}

// Each state has its lifetime; what is past it is gone for the program at once,
// is freed by the next pass together with its entry for answers, and was
// counted as closed exactly once.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hide v4", "dsr v6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, shapes()[name], func(p *plan) { p.held, p.Lifetimes = true, shortLives })
			events := listenTo(t, g.dp)
			conns := killOff(t, g)
			idle := conns["idle"]
			removed, gone := 0, map[string]time.Time{}
			inTicks(t, "all flows expire", func() bool {
				n, err := g.dp.Expire(t.Context())
				must(t, err)
				removed += n
				for name, c := range conns {
					if _, there := find(t, g.dp, client(c.conn)); !there && gone[name].IsZero() {
						gone[name] = time.Now()
					}
				}
				return len(gone) == len(conns)
			})
			for name, c := range conns {
				if lived := gone[name].Sub(c.quiet); lived < c.lives {
					t.Errorf("%s expired after %s, its lifetime is %s", name, lived, c.lives)
				}
			}
			entries := len(conns)
			if g.service.Mode == loader.ModeNAT {
				entries *= 2
			}
			if n, err := g.dp.Expire(t.Context()); err != nil || n != 0 || removed != entries {
				t.Errorf("freed %d entries and %d more (%v), want %d", removed, n, err, entries)
			}
			wantClosed(t, g, events, len(conns))

			if g.service.Mode == loader.ModeNAT {
				wantReset(t, "client of a flow that expired", idle.conn)
				return
			}
			// The ring still knows the way.
			_, err := idle.conn.Write([]byte("x"))
			must(t, err)
			_, err = idle.far.Read(make([]byte, 1))
			must(t, err)
		})
	}
}

// killOff brings connections into every state that has a lifetime.
func killOff(t *testing.T, g *gateway) map[string]*dying {
	t.Helper()
	idle := loader.FlowEstablished
	if g.service.Mode == loader.ModeDSR {
		idle = loader.FlowYoung // with data: it lives as long
	}
	conns := map[string]*dying{
		"idle":        {state: idle, lives: shortLives.Established},
		"half-closed": {state: loader.FlowHalfClosed, lives: shortLives.HalfClosed},
		"reset":       {state: loader.FlowClosed, lives: shortLives.Closed},
	}
	if g.service.Mode == loader.ModeDSR {
		conns["silent"] = &dying{state: loader.FlowYoung, lives: shortLives.Embryo}
	} else {
		conns["closed"] = &dying{state: loader.FlowClosed, lives: shortLives.Closed}
	}
	for name, d := range conns {
		d.conn, _ = g.dial(t)
		d.far = <-g.accepted
		// Before the packet it is about: the flow lives at least from here.
		d.quiet = time.Now()
		switch name {
		case "idle":
			_, err := d.conn.Write([]byte("x"))
			must(t, err)
			_, err = d.far.Read(make([]byte, 1))
			must(t, err)
		case "half-closed":
			must(t, d.conn.(*net.TCPConn).CloseWrite())
		case "reset":
			reset(t, d.conn)
		case "closed":
			must(t, d.conn.(*net.TCPConn).CloseWrite())
			must(t, d.far.Close())
		}
		eventually(t, name+" is noticed", func() bool {
			f, ok := find(t, g.dp, client(d.conn))
			return ok && f.State == d.state
		})
	}
	return conns
}

// wantClosed fails the test unless n flows were opened, counted as closed and
// told of, each once.
func wantClosed(t *testing.T, g *gateway, events <-chan loader.Event, n int) {
	t.Helper()
	wantCounted(t, g.dp, n, n)
	told := map[loader.EventKind]map[netip.AddrPort]int{loader.EventEstablished: {}, loader.EventClosed: {}}
	for range 2 * n {
		e := next(t, events)
		if told[e.Kind][e.Client]++; told[e.Kind][e.Client] != 1 {
			t.Errorf("told %d times of %+v", told[e.Kind][e.Client], e)
		}
	}
	if len(told[loader.EventClosed]) != n {
		t.Errorf("told of %d flows that closed, want %d", len(told[loader.EventClosed]), n)
	}
}

// A pass leaves what lives alone, whatever direction was heard of last.
func TestExpireSparesTheLiving(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v6"], func(p *plan) {
		p.held, p.Lifetimes = true, loader.Lifetimes{Closed: tick, HalfClosed: 2 * tick, Established: time.Hour, Embryo: tick}
	})
	c, _ := g.dial(t)
	far := <-g.accepted
	quiet := monotonic(t)
	// The entry for answers is looked at once it was silent for the shortest
	// lifetime; it must stand as long as its flow.
	inTicks(t, "ticks go by", func() bool { return monotonic(t) > quiet+2*tick })
	if n, err := g.dp.Expire(t.Context()); err != nil || n != 0 {
		t.Errorf("freed %d entries of a living flow (%v)", n, err)
	}
	for _, end := range []struct{ from, to net.Conn }{{far, c}, {c, far}} {
		_, err := end.from.Write([]byte("x"))
		must(t, err)
		_, err = end.to.Read(make([]byte, 1))
		must(t, err)
	}
}
