package loader_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"sluice/loader"
)

// wantReset fails the test unless a side that speaks is told that the
// connection is gone.
func wantReset(t *testing.T, side string, c net.Conn) {
	t.Helper()
	must(t, c.SetDeadline(time.Now().Add(patience)))
	if _, err := c.Write([]byte("x")); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the %s wrote: %v", side, err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the %s is not reset: %v", side, err)
	}
}

// ends are the two of one connection.
type ends struct{ near, far net.Conn }

// talks fails the test unless what the client says arrives.
func (e ends) talks(t *testing.T) {
	t.Helper()
	_, err := e.near.Write([]byte("x"))
	must(t, err)
	_, err = e.far.Read(make([]byte, 1))
	must(t, err)
}

// Whichever side of a killed connection speaks is reset, the others go on.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hide v4", "keep v6", "dsr v4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, shapes()[name], func(p *plan) { p.held = true })
			events := listenTo(t, g.dp)
			var conns []ends
			for range 3 {
				c, _ := g.dial(t)
				conns = append(conns, ends{c, <-g.accepted})
				next(t, events)
			}
			victims, spared := conns[:2], conns[2]
			kill(t, g, victims)
			for range victims {
				if e := next(t, events); e.Kind != loader.EventClosed {
					t.Errorf("after the kill the event is %+v", e)
				}
			}
			wantReset(t, "client", victims[0].near)
			if g.service.Mode == loader.ModeNAT {
				wantReset(t, "backend", victims[1].far)
			}
			if drops(t, g.dp, "killed") == 0 {
				t.Error("no packet is counted as killed")
			}
			spared.talks(t)
			wantCounted(t, g.dp, 3, 2)
		})
	}
}

// kill ends the flows of two connections, and others that are not there.
func kill(t *testing.T, g *gateway, victims []ends) {
	t.Helper()
	var flows []loader.Flow
	for _, c := range victims {
		f, ok := find(t, g.dp, client(c.near))
		if !ok {
			t.Fatal("the connection has no flow")
		}
		flows = append(flows, f)
	}
	// The line is another flow's by now.
	stale := flows[0]
	stale.Word ^= 2
	for _, try := range []struct {
		flows []loader.Flow
		want  int
	}{{nil, 0}, {[]loader.Flow{stale}, 0}, {flows, len(flows)}, {flows, 0}} {
		if n, err := g.dp.Kill(try.flows); err != nil || n != try.want {
			t.Errorf("killing %+v ended %d flows (%v), want %d", try.flows, n, err, try.want)
		}
	}
	for _, f := range flows {
		if f, ok := find(t, g.dp, f.Client); !ok || f.State != loader.FlowKilled {
			t.Errorf("after the kill the flow is %+v (%v)", f, ok)
		}
	}
}

// A client whose connection was killed can come back by the same port.
func TestKilledClientReturns(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v4"])
	const port = 40321
	for range 3 {
		c, _ := g.dialFrom(t, port)
		echo(t, c, 100)
		f, _ := find(t, g.dp, client(c))
		if n, err := g.dp.Kill([]loader.Flow{f}); err != nil || n != 1 {
			t.Fatalf("killed %d flows (%v)", n, err)
		}
		wantReset(t, "client", c)
		must(t, c.Close())
	}
}
