package loader_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"

	"sluice/loader"
)

// TestTraffic sends data both ways through every shape of service.
func TestTraffic(t *testing.T) {
	for name, s := range shapes() {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, s)
			seen := map[string]int{}
			for range 20 {
				c, backend := g.dial(t)
				seen[backend]++
				echo(t, c, 100_000)
				must(t, c.Close())
			}
			if len(seen) != len(g.Backends) {
				t.Errorf("20 connections reached %v; all backends have a third of the ring", seen)
			}
			drops, err := g.dp.Drops()
			must(t, err)
			for _, d := range drops {
				if d.Packets > 0 {
					t.Errorf("%d packets dropped as %s", d.Packets, d.Reason)
				}
			}
			counters, err := g.dp.MemberCounters()
			must(t, err)
			var opened uint64
			for _, c := range counters {
				opened += c.FlowsOpened
			}
			if opened != 20 {
				t.Errorf("%d flows opened; 20 were", opened)
			}
			if s.Mode != loader.ModeNAT {
				return
			}
		})
	}
}

func echo(t *testing.T, c io.ReadWriter, n int) {
	t.Helper()
	sent := make([]byte, n)
	rand.Read(sent)
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		done <- err
	}()
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	must(t, <-done)
	if !bytes.Equal(sent, got) {
		t.Error("the bytes that came back are not those that went out")
	}
}
