package loader_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"sluice/internal/nettest"
)

// endCases are connections that end before anything was said, or never begin.
var endCases = map[string]proxyCase{
	"client FIN before any data":                       {talk: talkFIN},
	"client FIN before any data, header frame lost":    {prepare: onlyClientRepeats, talk: talkFIN},
	"client RST before any data":                       {talk: talkRST},
	"client RST before any data, header frame lost":    {prepare: onlyClientRepeats, talk: talkLostRST},
	"RST to the SYN":                                   {server: proxyServer{absent: true}, talk: talkRefused, handshakes: 4},
	"ICMP unreachable to the SYN, no port":             unreachable("port-unreachable", "port-unreachable"),
	"ICMP unreachable to the SYN, no host":             unreachable("host-unreachable", "addr-unreachable"),
	"ICMP unreachable to the SYN, no network":          unreachable("net-unreachable", "no-route"),
	"ICMP unreachable to the SYN, forbidden":           unreachable("admin-prohibited", "admin-prohibited"),
	"server FIN before any data":                       {server: proxyServer{closes: true}, talk: talkServerFIN},
	"server FIN before any data, header frame lost":    {server: proxyServer{closes: true}, prepare: lost(first(1)), talk: talkServerFIN},
	"server closes without reading, the header unread": {server: proxyServer{deaf: true}, talk: talkDeaf},
}

// talkFIN: the client has nothing to say.
func talkFIN(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	must(t, c.(*net.TCPConn).CloseWrite())
	banner(t, c)
	w.headerOf(t, client(c))
	drains(t, c)
	must(t, c.Close())
	onlyListens(t, w.backend().Namespace, backendAddr(w))
}

// talkRST: the backend has the header, and then a reset.
func talkRST(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	w.headerOf(t, client(c))
	must(t, c.(*net.TCPConn).SetLinger(0))
	must(t, c.Close())
	onlyListens(t, w.backend().Namespace, backendAddr(w))
}

// talkLostRST: the backend lacks the header, and still the reset meets what it
// expects, so that it does not wait for a minute.
func talkLostRST(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	must(t, c.(*net.TCPConn).SetLinger(0))
	must(t, c.Close())
	onlyListens(t, w.backend().Namespace, backendAddr(w))
}

// talkServerFIN: the server says its banner and closes.
func talkServerFIN(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	banner(t, c)
	w.headerOf(t, client(c))
	drains(t, c)
	must(t, c.Close())
}

// talkDeaf: a server that closes with the header unread resets.
func talkDeaf(t *testing.T, w *proxyWorld) {
	c, err := w.dialBy(t, net.Dialer{})
	if err == nil { // else the reset came before connect returned
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client is told %v, want a reset", err)
	}
}

// talkRefused: what nobody listens for is refused at once, again and again.
func talkRefused(t *testing.T, w *proxyWorld) {
	for range 3 {
		if err := w.refused(t, w.listen); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the client is told %v, want that the connection is refused", err)
		}
	}
	onlyOneSYN(t, w.Client)
}

// refused dials in vain, from one port of the client's.
func (w *proxyWorld) refused(t *testing.T, at netip.AddrPort) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{Port: 40001}, Control: reusable}
	return w.Client.Do(func() error {
		c, err := d.DialContext(ctx, "tcp", at.String())
		if err == nil {
			c.Close()
			return errors.New("nothing, and is connected")
		}
		return err
	})
}

// onlyOneSYN: whoever is told at once sends no SYN twice.
func onlyOneSYN(t *testing.T, n *nettest.Namespace) {
	t.Helper()
	if again := mib(t, n, "TcpExt", "TCPSynRetrans"); again != 0 {
		t.Errorf("%d SYNs were sent again", again)
	}
}

// unreachable is a backend that answers SYNs by an ICMP error, whose way to the
// client is that of an answer.
func unreachable(v4, v6 string) proxyCase {
	return proxyCase{
		handshakes: 2,
		prepare: func(t *testing.T, w *proxyWorld) {
			nft(t, w.backend().Namespace, fmt.Sprintf(`table inet refuse { chain in { type filter hook input priority 0;
				meta nfproto ipv4 tcp dport 22 reject with icmp %s; meta nfproto ipv6 tcp dport 22 reject with icmpv6 %s; }; }`, v4, v6))
		},
		talk: talkUnreachable,
	}
}

// talkUnreachable: a client is told the same as without us between.
func talkUnreachable(t *testing.T, w *proxyWorld) {
	var direct, through syscall.Errno
	if err := w.refused(t, backendAddr(w)); !errors.As(err, &direct) {
		t.Fatalf("without the gateway the client is told %v", err)
	}
	if err := w.refused(t, w.listen); !errors.As(err, &through) {
		t.Fatalf("the client is told %v", err)
	}
	if direct != through {
		t.Errorf("the client is told %q, without the gateway %q", through, direct)
	}
	// An error that comes while connect is still in the kernel is put off until
	// the next, so SYNs may be repeated; each is answered.
	syns := 2 + mib(t, w.Client, "TcpExt", "TCPSynRetrans")
	if n := unreachables(t, w); n != syns {
		t.Errorf("the client has sent %d SYNs, and got %d errors", syns, n)
	}
}

// unreachables is how many errors of the VIP's family the client has got.
func unreachables(t *testing.T, w *proxyWorld) uint64 {
	t.Helper()
	if w.listen.Addr().Is4() {
		return mib(t, w.Client, "Icmp", "InDestUnreachs")
	}
	return mib6(t, w.Client, "Icmp6InDestUnreachs")
}
