package loader_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// TestProxyLoss opens connections while 2 % of all packets are lost each way.
// Every header must be right, none may stall, and no source port may stay.
func TestProxyLoss(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	for family, s := range proxied() {
		t.Run(family, func(t *testing.T) { testLoss(t, s) })
	}
}

func testLoss(t *testing.T, s loader.Service) {
	count, atOnce := connections()
	ends := repeats{ends: make(map[netip.AddrPort]int)}
	g, heard := newProxied(t, s, proxyServer{ended: ends.note}, func(p *plan) {
		p.MaxFlows = 4 * count
		p.Lifetimes = loader.Lifetimes{Established: 20 * time.Second, HalfClosed: 3 * time.Second, Closed: tick}
	})
	loses(t, g.Backends[0].Namespace, lossy)
	loses(t, g.Client, lossy)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go sweep(ctx, g.dp)

	made := g.manyConnections(t, count, atOnce)
	counters, err := g.dp.MemberCounters()
	must(t, err)
	slices.SortFunc(made, func(a, b passage) int { return cmp.Compare(a.took, b.took) })
	t.Logf("%d connections, %d at once: median %s, 99 %% %s, longest %s; %d headers sent for them",
		count, atOnce, made[count/2].took, made[count*99/100].took, made[count-1].took, counters[1].Headers)
	ends.explain(t, made)
	g.headersRight(t, heard, made)
	stop()
	g.portsFree(t)
}

// repeats is how many segments the backend has sent again, by client.
type repeats struct {
	mu   sync.Mutex
	ends map[netip.AddrPort]int
}

func (r *repeats) note(client netip.AddrPort, c net.Conn) {
	n, _ := repeated(c) // 0 explains the least
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends[client] += n
}

// slack is what a busy machine may add to TCP's own timers.
const slack = 5 * time.Second

// explain fails the test for connections that took longer than TCP's timers make
// of what both kernels say they have sent again. A timer begins with a second at
// most (RFC 6298) and doubles, so n repetitions take at most 2^n-1 seconds,
// whichever end's they were and however many losses one timer met.
func (r *repeats) explain(t *testing.T, made []passage) {
	t.Helper()
	left := func(p passage) time.Duration {
		r.mu.Lock()
		defer r.mu.Unlock()
		n, ok := r.ends[p.client]
		if !ok {
			return -1
		}
		return p.took - time.Duration(1<<(n+p.again)-1)*time.Second
	}
	var most time.Duration
	for _, p := range made {
		inTicks(t, "the backend's end of every connection is closed", func() bool { return left(p) != -1 })
		if over := left(p); over > slack {
			t.Errorf("the connection of %s took %s, of which TCP's timers do not explain %s", p.client, p.took, over)
		} else {
			most = max(most, over)
		}
	}
	t.Logf("at most %s are not explained by TCP's timers", most)
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

// passage is one connection: how long all took from the SYN to the last byte,
// and how many segments the client has sent again.
type passage struct {
	client netip.AddrPort
	took   time.Duration
	again  int
}

func (g *gateway) manyConnections(t *testing.T, count, atOnce int) []passage {
	t.Helper()
	made, errs := make([]passage, count), make([]error, count)
	room := make(chan struct{}, atOnce)
	var tasks sync.WaitGroup
	for i := range count {
		room <- struct{}{}
		tasks.Go(func() {
			defer func() { <-room }()
			start := time.Now()
			made[i], errs[i] = g.oneConnection(t.Context())
			if errs[i] != nil {
				errs[i] = fmt.Errorf("connection %d after %s: %v", i, time.Since(start), errs[i])
			}
		})
	}
	tasks.Wait()
	must(t, errors.Join(errs...))
	return made
}

// forever is longer than any connection can take.
const forever = 80 * time.Second

// oneConnection hears the banner, has some bytes sent back, and closes.
func (g *gateway) oneConnection(ctx context.Context) (p passage, err error) {
	ctx, cancel := context.WithTimeout(ctx, forever)
	defer cancel()
	start := time.Now()
	c, err := g.Client.Dial(ctx, g.listen)
	if err != nil {
		return p, err
	}
	defer c.Close()
	if err := c.SetDeadline(start.Add(forever)); err != nil {
		return p, err
	}
	data := make([]byte, 3000)
	rand.Read(data)
	if _, err := c.Write(data); err != nil {
		return p, err
	}
	back := make([]byte, bannerLen+len(data))
	if _, err := io.ReadFull(c, back); err != nil {
		return p, fmt.Errorf("read what comes back: %v", err)
	}
	if !bytes.Equal(back[bannerLen:], data) {
		return p, fmt.Errorf("what came back is not what was sent")
	}
	p = passage{client: client(c), took: time.Since(start)}
	p.again, err = repeated(c)
	return p, errors.Join(err, c.(*net.TCPConn).CloseWrite())
}

// repeated is how many segments an end has sent again, SYNs included.
func repeated(c net.Conn) (n int, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	failed := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(failed, err); err != nil {
		return 0, err
	}
	return int(info.Total_retrans), nil
}

// headersRight checks every header that the backend has read: one for each
// connection and no other, each with an id of its own.
func (g *gateway) headersRight(t *testing.T, heard chan said, made []passage) {
	t.Helper()
	clients, ids := map[netip.AddrPort]int{}, map[string]bool{}
	for range made {
		h := <-heard
		switch {
		case h.err != nil:
			t.Errorf("a header could not be read: %v", h.err)
		case h.listen != g.listen:
			t.Errorf("a header names %s to %s", h.client, h.listen)
		case ids[h.id]:
			t.Errorf("the connection id %s came twice", h.id)
		}
		clients[h.client]++
		ids[h.id] = true
	}
	for _, p := range made {
		if clients[p.client]--; clients[p.client] < 0 {
			t.Errorf("no header names %s", p.client)
		}
	}
	select {
	case h := <-heard:
		t.Errorf("one header more than connections: %+v", h)
	default:
	}
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
