package loader_test

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// serverCases are manners of servers, and of clients with them.
var serverCases = map[string]proxyCase{
	"server speaks first": {talk: says(0, 300_000)},
	"silent client waits for the banner of a server that waits for the header": {
		server: proxyServer{silent: true}, talk: says(0, 300_000)},
	"client speaks at once":            {server: proxyServer{silent: true}, talk: says(10, 300_000)},
	"first segment of full MSS":        {talk: says(4*mss, 300_000)},
	"no options, doff 5":               {prepare: onBackend("net/ipv4/tcp_timestamps=0", "net/ipv4/tcp_sack=0"), talk: says(4*mss, 300_000)},
	"SYN cookies":                      {prepare: onBackend("net/ipv4/tcp_syncookies=2"), talk: talkCookies(0)},
	"SYN cookies, client speaks first": {prepare: onBackend("net/ipv4/tcp_syncookies=2"), talk: talkCookies(4 * mss)},
	"deferred accept":                  {server: silent(option(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10)), talk: says(0, 300_000)},
	"deferred accept, server first":    {server: option(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10), talk: says(0, 300_000)},
	"window of one segment":            {server: option(unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, mss), talk: says(8*mss, 100_000)},
	// Much smaller, and Linux makes so small segments that it takes a minute, with
	// or without a header.
	"receive buffer of few segments":     {server: option(unix.SOL_SOCKET, unix.SO_RCVBUF, 8192), talk: says(8*mss, 50_000)},
	"MSS absent in the SYN-ACK":          {prepare: withoutMSS, talk: talkNoMSS},
	"checksums verified on both ends":    {talk: talkCorrupt, corrupt: 1},
	"header frame lost, window of one":   {server: option(unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, mss), prepare: lost(first(1)), talk: says(8*mss, 50_000)},
	"header frame lost, SYN cookies":     {prepare: both(onBackend("net/ipv4/tcp_syncookies=2"), lost(first(1))), talk: talkCookies(4 * mss)},
	"header frame lost, deferred accept": {server: silent(option(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10)), prepare: lost(first(1)), talk: says(0, 1000)},
}

func silent(p proxyServer) proxyServer {
	p.silent = true
	return p
}

func both(prepare ...func(*testing.T, *proxyWorld)) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) {
		for _, p := range prepare {
			p(t, w)
		}
	}
}

// talkCookies makes sure that cookies were used.
func talkCookies(early int) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) {
		says(early, 300_000)(t, w)
		if mib(t, w.backend().Namespace, "TcpExt", "SyncookiesRecv") == 0 {
			t.Error("the backend has got no cookie")
		}
	}
}

// withoutMSS takes the option out of what the backend sends.
func withoutMSS(t *testing.T, w *proxyWorld) {
	nft(t, w.backend().Namespace, "table inet mss { chain out { type filter hook output priority 0; tcp flags syn reset tcp option maxseg; }; }")
}

// talkNoMSS: a client that is told no MSS sends what every host takes.
func talkNoMSS(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	w.converse(t, c, 4*mss, 300_000)
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(t, err)
	var size int
	must(t, errors.Join(raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) }), err))
	most := 536
	if w.listen.Addr().Is6() {
		most = 1220
	}
	if size > most {
		t.Errorf("the client sends %d bytes a segment, so it was told an MSS", size)
	}
	must(t, c.Close())
}

// talkCorrupt shows that both ends look at checksums: one wrong segment each is
// counted. In every other case none may be.
func talkCorrupt(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	w.converse(t, c, 4*mss, 300_000)
	f, ok := find(t, w.dp, client(c))
	if !ok {
		t.Fatal("the connection has no flow")
	}
	w.atClient(t).send(t, forgery{from: client(c), to: w.listen, corrupt: true})
	w.atBackend(t).send(t, forgery{from: backendAddr(w), to: f.Source, corrupt: true})
	eventually(t, "both ends have counted the wrong checksum", func() bool {
		return mib(t, w.Client, "Tcp", "InCsumErrors") == 1 && mib(t, w.backend().Namespace, "Tcp", "InCsumErrors") == 1
	})
	exchangeRandom(t, c, 100_000)
	must(t, c.Close())
}
