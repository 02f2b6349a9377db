package loader_test

import (
	"testing"

	"sluice/internal/nettest/frame"
	"sluice/loader"
)

// Source ports towards backends come from the spans, which may change while
// connections live; without any, new connections are refused by name.
func TestSetPorts(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v4"])
	old, _ := g.dial(t)
	spans := [][4]uint16{{2000, 2002, 65530, 65535}, {1, 0, 3000, 3009}, {4000, 4009, 1, 0}}
	for _, s := range spans {
		must(t, g.dp.SetPorts(s[0], s[1], s[2], s[3]))
		for range 5 {
			c, _ := g.dial(t)
			f, ok := find(t, g.dp, client(c))
			p := f.Source.Port()
			if !ok || !(p >= s[0] && p <= s[1] || p >= s[2] && p <= s[3]) {
				t.Errorf("with spans %v a flow has the source %s (%v)", s, f.Source, ok)
			}
		}
	}
	must(t, g.dp.SetPorts(1, 0, 1, 0))
	_, err := g.tryDial(t.Context(), 0)
	wantError(t, err, "refused")
	if n := drops(t, g.dp, "ports_exhausted"); n != 1 {
		t.Errorf("%d packets are counted as ports_exhausted, want 1", n)
	}
	echo(t, old, 1000)
}

// What is of no known flow is answered only once nothing more is to be learnt,
// and a new process keeps to what the last one said.
func TestSetResetUnknown(t *testing.T) {
	t.Parallel()
	n, o := alone(t)
	dp := openIn(t, n, o)
	listen, index := serveOn(t, dp, n, loader.ModeNAT)
	want := func(what string, verdict uint32) {
		t.Helper()
		must(t, n.Do(func() error {
			p := newFeeder(dp.Steer(), index, frame.Frame{Src: clientOf(1), Dst: listen, Flags: frame.ACK})
			defer p.close()
			if v, err := p.run(false); err != nil || v != verdict {
				t.Errorf("%s: verdict %d (%v), want %d", what, v, err, verdict)
			}
			return nil
		}))
	}
	want("at first", xdpDrop)
	must(t, dp.SetResetUnknown(true))
	want("switched on", xdpTX)
	must(t, dp.Close())
	dp = openIn(t, n, o)
	want("adopted", xdpTX)
	must(t, dp.SetResetUnknown(false))
	want("switched off", xdpDrop)
	if n := drops(t, dp, "unknown_flow"); n != 4 {
		t.Errorf("%d packets are counted as unknown_flow, want 4", n)
	}
}

// Flows ask anew for their way back and go on.
func TestBumpRoutes(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["keep v6"])
	c, _ := g.dial(t)
	for range 3 {
		echo(t, c, 1000)
		must(t, g.dp.BumpRoutes())
	}
	echo(t, c, 1000)
	wantNoDrops(t, g.dp)
}
