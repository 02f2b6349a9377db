package loader_test

import (
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// TestProxyKernel lets kernels talk through the gateway in every way that broke,
// or could break, a header in front of a client's stream. Headers are read by
// go-proxyproto; TestProxyReceivers has other parsers.
func TestProxyKernel(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	for _, group := range []map[string]proxyCase{lossCases, serverCases, endCases, reuseCases, optionCases, forgedCases} {
		for _, name := range slices.Sorted(maps.Keys(group)) {
			c := group[name]
			for family, s := range proxied() {
				t.Run(name+" "+family, func(t *testing.T) {
					t.Parallel()
					w := newProxyWorld(t, s, c.server)
					if c.prepare != nil {
						c.prepare(t, w)
					}
					c.talk(t, w)
					w.leavesNothing(t, c)
				})
			}
		}
	}
}

// sysctls are settings of a namespace.
func sysctls(t *testing.T, n *nettest.Namespace, pairs ...string) {
	t.Helper()
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		must(t, n.SetSysctl(key, value))
	}
}

// onBackend is a case's preparation by settings of the backend's kernel.
func onBackend(pairs ...string) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) { sysctls(t, w.backend().Namespace, pairs...) }
}

// option is a server whose listener has an option set.
func option(level, name, value int) proxyServer {
	return proxyServer{control: func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) }}
}

// says is a whole connection: the client says early before it has read the
// banner, reads it and has that and then size random bytes echoed.
func says(early, size int) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) {
		c := w.connect(t)
		w.converse(t, c, early, size)
		must(t, c.Close())
	}
}

// converse does it over a connection and checks its header.
func (w *proxyWorld) converse(t *testing.T, c net.Conn, early, size int) {
	t.Helper()
	speak(t, c, early)
	w.headerOf(t, client(c))
	exchangeRandom(t, c, size)
}

// speak says early bytes before it reads the banner, and has them back.
func speak(t *testing.T, c net.Conn, early int) {
	t.Helper()
	data := make([]byte, early)
	for i := range data {
		data[i] = byte(i * 7)
	}
	_, err := c.Write(data)
	must(t, err)
	banner(t, c)
	back := make([]byte, early)
	_, err = io.ReadFull(c, back)
	must(t, err)
	if string(back) != string(data) {
		t.Error("what was said before the banner came back as something else")
	}
}

// banner reads what the backend says first.
func banner(t *testing.T, c net.Conn) {
	t.Helper()
	b := make([]byte, bannerLen)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "SSH-2.0-b1\r\n" {
		t.Fatalf("the banner is %q: %v", b, err)
	}
}

// drains reads until the other side closes, and finds nothing more.
func drains(t *testing.T, c net.Conn) {
	t.Helper()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("before the end came %q: %v", rest, err)
	}
}
