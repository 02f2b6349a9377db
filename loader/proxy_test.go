package loader_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pires/go-proxyproto"

	"sluice/internal/nettest"
	"sluice/loader"
)

// proxied are the services whose flows begin with a header, by family.
func proxied() map[string]loader.Service {
	out := map[string]loader.Service{}
	for _, family := range []string{"v4", "v6"} {
		s := shapes()["hide "+family]
		s.Proxy = true
		out[family] = s
	}
	return out
}

// said is what a backend heard of a connection.
type said struct {
	client netip.AddrPort
	listen netip.AddrPort
	id     string
	err    error
}

// proxyServer reads the header by the parser of go-proxyproto, says its banner
// at once, and then sends back what it hears.
type proxyServer struct {
	heard chan said
	// silent servers wait for the header before they say anything.
	silent bool
	// multipath servers listen for MPTCP, too, as Go's do by themselves.
	multipath bool
	// closes is a server that says its banner, reads the header and closes.
	closes bool
	// deaf is one that closes without reading, absent one that is not there.
	deaf, absent bool
	// ended is called where it has heard the last of a connection.
	ended func(client netip.AddrPort, c net.Conn)
	// control is called on each listening socket before it listens.
	control func(fd int) error
}

// newProxied builds a gateway with one backend, whose servers read the header.
func newProxied(t *testing.T, s loader.Service, p proxyServer, change ...func(*plan)) (*gateway, chan said) {
	t.Helper()
	p.heard = make(chan said, 20_000)
	g := newGateway(t, s, append(change, func(g *plan) { g.backends, g.serve = 1, p.serve })...)
	return g, p.heard
}

// serve answers connections until the test ends.
func (p proxyServer) serve(t *testing.T, n *nettest.Namespace, at netip.AddrPort) {
	t.Helper()
	if p.absent {
		return
	}
	var l net.Listener
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if p.control == nil {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = p.control(int(fd)) }), err)
	}}
	config.SetMultipathTCP(p.multipath)
	must(t, n.Do(func() (err error) {
		l, err = config.Listen(t.Context(), "tcp", at.String())
		return err
	}))
	var tasks sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		tasks.Wait()
	})
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { c.Close() })
			tasks.Go(func() {
				defer stop()
				p.handle(c)
			})
		}
	})
}

func (p proxyServer) handle(c net.Conn) {
	defer c.Close()
	if p.deaf {
		return
	}
	if !p.silent {
		_, _ = io.WriteString(c, "SSH-2.0-b1\r\n")
	}
	r := bufio.NewReaderSize(c, 64<<10)
	h, err := proxyproto.Read(r)
	if err != nil {
		p.heard <- said{err: err}
		return
	}
	out := said{client: addrPortOf(h.SourceAddr), listen: addrPortOf(h.DestinationAddr)}
	tlvs, err := h.TLVs()
	if err == nil && len(tlvs) > 0 && tlvs[0].Type == proxyproto.PP2_TYPE_UNIQUE_ID {
		out.id = fmt.Sprintf("%x", tlvs[0].Value)
	}
	out.err = err
	p.heard <- out
	if p.silent {
		_, _ = io.WriteString(c, "SSH-2.0-b1\r\n")
	}
	if !p.closes {
		// By read and write: splice, which io.Copy would take, stops for ever at
		// urgent data.
		_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{r})
	}
	if p.ended != nil {
		p.ended(out.client, c)
	}
}

func addrPortOf(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// loses makes a namespace lose what the rules match of what comes in. The
// gateway itself sends past every rule.
func loses(t *testing.T, n *nettest.Namespace, rules ...string) {
	t.Helper()
	nft(t, n, "table netdev loss { chain in { type filter hook ingress device "+nettest.HostLink+" priority 0; "+strings.Join(rules, "; ")+"; }; }")
}

// exchangeRandom sends bytes and has them back.
func exchangeRandom(t *testing.T, c net.Conn, size int) {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		failed <- err
	}()
	h := sha256.New()
	_, err := io.CopyN(h, c, int64(size))
	must(t, err)
	must(t, <-failed)
	if [32]byte(h.Sum(nil)) != sha256.Sum256(data) {
		t.Error("what came back is not what was sent")
	}
}

// mss is the length a full first segment has: more than what the SYN-ACK says.
const mss = 1460

// first drops the first segments with data or a bare acknowledgement that a
// backend gets: those with the header.
func first(n int) string {
	return fmt.Sprintf("tcp dport 22 tcp flags & (syn|rst) == 0 limit rate over 1/hour burst %d packets accept; tcp dport 22 tcp flags & (syn|rst) == 0 drop", n)
}
