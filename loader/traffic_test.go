package loader_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
)

// TestTraffic sends data both ways through every shape of service.
func TestTraffic(t *testing.T) {
	t.Parallel()
	for name, s := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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
			wantNoDrops(t, g.dp)
			counters, err := g.dp.MemberCounters()
			must(t, err)
			var opened uint64
			for _, c := range counters {
				opened += c.FlowsOpened
			}
			if opened != 20 {
				t.Errorf("%d flows opened; 20 were", opened)
			}
		})
	}
}

// echo sends n bytes and reads them back.
func echo(t *testing.T, c net.Conn, n int) {
	t.Helper()
	must(t, exchange(c, n))
}

// exchange is echo for goroutines that are not the test's.
func exchange(c net.Conn, n int) error {
	sent := make([]byte, n)
	rand.Read(sent)
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		done <- err
	}()
	got := make([]byte, n)
	_, err := io.ReadFull(c, got)
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return errors.New("the bytes that came back are not those that went out")
	}
	return nil
}
