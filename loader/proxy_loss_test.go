package loader_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
)

// connections is how many run in a row, atOnce how many of them at a time.
func connections() (count, atOnce int) {
	if os.Getenv("SLUICE_TEST_FULL") != "" {
		return 10_000, 200
	}
	return 500, 100
}

// longest is what TCP's own timers can make of a connection here: five SYNs in a
// row lost, or their answers, take 1+2+4+8+16 s.
const longest = 40 * time.Second

// TestProxyLoss opens connections while 2 % of all packets are lost each way.
// Every header must be right, none may stall, and no source port may stay.
func TestProxyLoss(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	count, atOnce := connections()
	s := proxied()["v4"]
	g, heard := newProxied(t, s, proxyServer{}, func(p *plan) {
		p.MaxFlows = 4 * count
		p.Lifetimes = loader.Lifetimes{Established: 20 * time.Second, HalfClosed: 3 * time.Second, Closed: tick}
	})
	const lossy = "numgen random mod 100 < 2 drop"
	loses(t, g.Backends[0].Namespace, lossy)
	loses(t, g.Client, lossy)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go sweep(ctx, g.dp)

	took := g.manyConnections(t, count, atOnce)
	slices.Sort(took)
	counters, err := g.dp.MemberCounters()
	must(t, err)
	t.Logf("%d connections, %d at once: median %s, 99 %% %s, longest %s; %d headers sent for them",
		count, atOnce, took[count/2], took[count*99/100], took[count-1], counters[1].Headers)
	if took[count-1] > longest {
		t.Errorf("one took %s, more than TCP's own timers make of it", took[count-1])
	}
	g.headersRight(t, heard, count)
	stop()
	g.portsFree(t)
}

// sweep frees what ended, as the node does.
func sweep(ctx context.Context, dp *loader.Dataplane) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_, _ = dp.Expire(ctx) // what it missed the test finds
		}
	}
}

func (g *gateway) manyConnections(t *testing.T, count, atOnce int) []time.Duration {
	t.Helper()
	took, errs := make([]time.Duration, count), make([]error, count)
	room := make(chan struct{}, atOnce)
	var tasks sync.WaitGroup
	for i := range count {
		room <- struct{}{}
		tasks.Go(func() {
			defer func() { <-room }()
			start := time.Now()
			errs[i] = g.oneConnection(t.Context())
			took[i] = time.Since(start)
		})
	}
	tasks.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("connection %d after %s: %v", i, took[i], err)
		}
	}
	return took
}

// oneConnection hears the banner, has some bytes sent back, and closes.
func (g *gateway) oneConnection(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*longest)
	defer cancel()
	c, err := g.Client.Dial(ctx, g.listen)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * longest)); err != nil {
		return err
	}
	data := make([]byte, 3000)
	rand.Read(data)
	if _, err := c.Write(data); err != nil {
		return err
	}
	back := make([]byte, bannerLen+len(data))
	if _, err := io.ReadFull(c, back); err != nil {
		return fmt.Errorf("read what comes back: %v", err)
	}
	if !bytes.Equal(back[bannerLen:], data) {
		return fmt.Errorf("what came back is not what was sent")
	}
	return c.(*net.TCPConn).CloseWrite()
}

// headersRight checks every header that the backend has read.
func (g *gateway) headersRight(t *testing.T, heard chan said, count int) {
	t.Helper()
	clients, ids := map[netip.AddrPort]bool{}, map[string]bool{}
	for range count {
		h := <-heard
		switch {
		case h.err != nil:
			t.Errorf("a header could not be read: %v", h.err)
		case h.client.Addr() != g.ClientAddr.V4 || h.listen != g.listen:
			t.Errorf("a header names %s to %s", h.client, h.listen)
		case ids[h.id]:
			t.Errorf("the connection id %s came twice", h.id)
		}
		clients[h.client], ids[h.id] = true, true
	}
	select {
	case h := <-heard:
		t.Errorf("one header more than connections: %+v", h)
	default:
	}
	t.Logf("%d clients and %d connection ids were named", len(clients), len(ids))
}

// portsFree waits until no entry holds a source port any more.
func (g *gateway) portsFree(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		_, err := g.dp.Expire(t.Context())
		must(t, err)
		n, err := g.dp.Entries(t.Context())
		must(t, err)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d entries are left of connections that are closed", n)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
