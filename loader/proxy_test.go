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
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"

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
	var l net.Listener
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if p.control == nil {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = p.control(int(fd)) }), err)
	}}
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
	_, _ = io.Copy(c, r)
}

func addrPortOf(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// loses makes a namespace lose what the rules match of what comes in. The
// gateway itself sends past every rule.
func loses(t *testing.T, n *nettest.Namespace, rules ...string) {
	t.Helper()
	table := "table netdev loss { chain in { type filter hook ingress device " + nettest.HostLink + " priority 0; " + strings.Join(rules, "; ") + "; }; }"
	out, err := n.Command(t.Context(), "nft", table).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", table, err, out)
	}
}

// right checks what the backend heard of a connection that lives.
func (g *gateway) right(t *testing.T, c net.Conn, heard chan said) {
	t.Helper()
	var h said
	select {
	case h = <-heard:
	case <-time.After(patience):
		t.Fatal("the backend has read no header")
	}
	must(t, h.err)
	if h.client != client(c) || h.listen != g.listen {
		t.Errorf("the header names %s to %s, want %s to %s", h.client, h.listen, client(c), g.listen)
	}
	f, ok, err := g.dp.Find(testService, client(c))
	must(t, err)
	if !ok || h.id == "" || f.ID.String() != h.id {
		t.Errorf("the header's id is %q, the flow's %s (%t)", h.id, f.ID, ok)
	}
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

// TestProxyConnections lets kernels talk through the gateway in the ways that
// broke others' headers.
func TestProxyConnections(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	for name, c := range map[string]struct {
		server proxyServer
		loss   []string // at the backend
		syn    []string // at the client
		sysctl map[string]string
		first  int // bytes the client sends before it has read the banner
		most   time.Duration
	}{
		"plain":                   {most: time.Second},
		"full first segment":      {first: 4 * mss, most: time.Second},
		"silent server":           {server: proxyServer{silent: true}, most: time.Second},
		"silent server, at once":  {server: proxyServer{silent: true}, first: 10, most: time.Second},
		"first header frame lost": {loss: []string{first(1)}, most: 3 * time.Second},
		"first two lost":          {loss: []string{first(2)}, most: 6 * time.Second},
		"lost, and client talks":  {loss: []string{first(1)}, first: 2 * mss, most: 3 * time.Second},
		"SYN-ACK lost":            {syn: []string{"tcp flags syn,ack / syn,ack limit rate over 1/hour burst 1 packets accept; tcp flags syn,ack / syn,ack drop"}, most: 4 * time.Second},
		"SYN cookies":             {sysctl: map[string]string{"net/ipv4/tcp_syncookies": "2"}, first: 5, most: time.Second},
		"deferred accept": {server: proxyServer{silent: true, control: func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10)
		}}, most: time.Second},
		"window of one segment": {server: proxyServer{control: func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, mss)
		}}, first: 8 * mss, most: 5 * time.Second},
		"no timestamps": {sysctl: map[string]string{"net/ipv4/tcp_timestamps": "0", "net/ipv4/tcp_sack": "0"}, first: 4 * mss, most: time.Second},
	} {
		for family, s := range proxied() {
			t.Run(name+" "+family, func(t *testing.T) {
				t.Parallel()
				g, heard := newProxied(t, s, c.server)
				for key, value := range c.sysctl {
					must(t, g.Backends[0].SetSysctl(key, value))
				}
				if c.loss != nil {
					loses(t, g.Backends[0].Namespace, c.loss...)
				}
				if c.syn != nil {
					loses(t, g.Client, c.syn...)
				}
				start := time.Now()
				conn, err := g.tryDial(t.Context(), 0)
				must(t, err)
				defer conn.Close()
				must(t, conn.SetDeadline(time.Now().Add(patience)))
				early := make([]byte, c.first)
				_, err = conn.Write(early)
				must(t, err)
				banner := make([]byte, bannerLen+len(early))
				_, err = io.ReadFull(conn, banner)
				must(t, err)
				g.right(t, conn, heard)
				if took := time.Since(start); took > c.most {
					t.Errorf("it took %s until all was said, at most %s are TCP's own", took, c.most)
				}
				exchangeRandom(t, conn, 300_000)
			})
		}
	}
}

// first drops the first segments with data or a bare acknowledgement that a
// backend gets: those with the header.
func first(n int) string {
	return fmt.Sprintf("tcp dport 22 tcp flags & (syn|rst) == 0 limit rate over 1/hour burst %d packets accept; tcp dport 22 tcp flags & (syn|rst) == 0 drop", n)
}

// TestProxyReceivers has parsers that others wrote, and that refuse what has no
// header, stand in front of a server.
func TestProxyReceivers(t *testing.T) {
	for _, name := range nettest.Receivers {
		for family, s := range proxied() {
			t.Run(name+" "+family, func(t *testing.T) {
				nettest.Require(t, nettest.Program(name))
				dir := t.TempDir()
				g := newGateway(t, s, func(p *plan) {
					p.backends = 1
					p.serve = func(t *testing.T, n *nettest.Namespace, at netip.AddrPort) {
						inner := netip.MustParseAddrPort("127.0.0.1:2022")
						nettest.ServeForTest(t, n, inner, nettest.ServerOptions{Banner: "SSH-2.0-b1\r\n", Echo: true})
						nettest.ReceiveForTest(t, n, name, dir, []netip.AddrPort{at}, inner)
					}
				})
				for range 20 {
					c, label := g.dial(t)
					if label != "b1" {
						t.Fatalf("the banner names %q", label)
					}
					exchangeRandom(t, c, 10_000)
					c.Close()
				}
				if name == "nginx" {
					logged(t, filepath.Join(dir, "access.log"), g.ClientAddr.Like(g.listen.Addr()))
				}
			})
		}
	}
}

// logged waits until the receiver has written down a connection of a client's.
// Those that found out whether it listens had no header.
func logged(t *testing.T, file string, who netip.Addr) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		b, err := os.ReadFile(file)
		must(t, err)
		for line := range strings.Lines(string(b)) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == who.String() && fields[2] == "200" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("it logged no connection of %s: %s", who, b)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
