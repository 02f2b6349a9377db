package loader_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
)

// proxyCase is one way to talk through a service whose flows begin with a
// header. What holds at its end holds for each: see leavesNothing.
type proxyCase struct {
	server proxyServer
	// prepare is called before anybody dials.
	prepare func(*testing.T, *proxyWorld)
	talk    func(*testing.T, *proxyWorld)
	// drops are the reasons that must have been counted; no other may be.
	drops []string
	// handshakes are those that are left, of both directions: they end by
	// themselves.
	handshakes int
	// corrupt is how many segments with a wrong checksum each end must have got.
	corrupt uint64
}

// proxyWorld is a gateway with one backend that reads headers.
type proxyWorld struct {
	*gateway
	heard chan said

	mu sync.Mutex
	// ids are the connection ids of the established events, by client.
	ids map[netip.AddrPort][]string
}

// newProxyWorld builds it and follows its events.
func newProxyWorld(t *testing.T, s loader.Service, p proxyServer) *proxyWorld {
	t.Helper()
	w := &proxyWorld{ids: map[netip.AddrPort][]string{}}
	w.gateway, w.heard = newProxied(t, s, p)
	go w.follow(w.dp)
	return w
}

// follow reads events until the dataplane is closed.
func (w *proxyWorld) follow(dp *loader.Dataplane) {
	for {
		e, err := dp.ReadEvent()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || e.Kind != loader.EventEstablished {
			continue // what is missing the test finds
		}
		w.mu.Lock()
		w.ids[e.Client] = append(w.ids[e.Client], e.ID.String())
		w.mu.Unlock()
	}
}

// backend is the only one.
func (w *proxyWorld) backend() *nettest.Backend { return w.Backends[0] }

// connect dials as a client with a deadline for all that follows.
func (w *proxyWorld) connect(t *testing.T) net.Conn {
	t.Helper()
	return w.connectBy(t, net.Dialer{})
}

func (w *proxyWorld) connectBy(t *testing.T, d net.Dialer) net.Conn {
	t.Helper()
	c, err := w.dialBy(t, d)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

func (w *proxyWorld) dialBy(t *testing.T, d net.Dialer) (c net.Conn, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = w.Client.Do(func() error {
		c, err = d.DialContext(ctx, "tcp", w.listen.String())
		return err
	})
	return c, err
}

// hears waits for what the backend has heard next.
func (w *proxyWorld) hears(t *testing.T) said {
	t.Helper()
	select {
	case h := <-w.heard:
		return h
	case <-time.After(patience):
		t.Fatal("the backend has read no header")
		return said{}
	}
}

// headerOf checks the header that the backend has heard next: it names a client,
// and the connection id is the one that the event said. It returns that.
func (w *proxyWorld) headerOf(t *testing.T, who netip.AddrPort) string {
	t.Helper()
	h := w.hears(t)
	must(t, h.err)
	if h.client != who || h.listen != w.listen {
		t.Errorf("the header names %s to %s, want %s to %s", h.client, h.listen, who, w.listen)
	}
	eventually(t, "the flow is told as established with the id of the header", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		ids := w.ids[who]
		return len(ids) > 0 && ids[len(ids)-1] == h.id && h.id != ""
	})
	return h.id
}

// leavesNothing checks what holds when all connections of a case are closed: no
// entry lives, no source port is held, nothing was dropped but what the case is
// about, and no segment came with a wrong checksum.
func (w *proxyWorld) leavesNothing(t *testing.T, c proxyCase) {
	t.Helper()
	eventually(t, "every flow has ended", func() bool {
		for _, f := range scan(t, w.dp) {
			if f.State < loader.FlowClosed {
				return false
			}
		}
		return true
	})
	w.wantDrops(t, c.drops)
	for _, n := range []*nettest.Namespace{w.Client, w.backend().Namespace} {
		if got := mib(t, n, "Tcp", "InCsumErrors"); got != c.corrupt {
			t.Errorf("%s got %d segments with a wrong checksum, want %d", n.Name(), got, c.corrupt)
		}
	}
	if n, err := w.dp.Embryos(); err != nil || n != c.handshakes {
		t.Errorf("%d handshakes are left (%v), want %d", n, err, c.handshakes)
	}
	// Long after the end, and long before the lifetime of what did not end.
	must(t, w.dp.Age(24*time.Hour))
	_, err := w.dp.Expire(t.Context())
	must(t, err)
	if n, err := w.dp.Entries(t.Context()); err != nil || n != 0 {
		t.Errorf("%d entries are left (%v)", n, err)
	}
}

// wantDrops: these reasons have been counted, and no others.
func (w *proxyWorld) wantDrops(t *testing.T, reasons []string) {
	t.Helper()
	want := map[string]bool{}
	for _, r := range reasons {
		want[r] = true
	}
	drops, err := w.dp.Drops()
	must(t, err)
	for _, d := range drops {
		if (d.Packets > 0) != want[d.Reason] {
			t.Errorf("%d packets dropped as %s", d.Packets, d.Reason)
		}
	}
}
