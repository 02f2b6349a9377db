package loader_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/nettest"
	"sluice/loader"
)

// receiverCases are connections through parsers that others wrote; what decides
// is how the header comes to them.
var receiverCases = map[string]struct {
	lost  string // at the backend
	early int    // bytes the client says before it has read the banner
}{
	"silent client":             {},
	"first segment of an octet": {early: 1},
	"first segment of full MSS": {early: 4 * mss},
	"header frame lost once":    {lost: first(1)},
	"header frame lost twice":   {lost: first(2), early: 4 * mss},
}

// TestProxyReceivers has parsers that others wrote, and that refuse what has no
// header, stand in front of a server. What they understood is in their logs.
func TestProxyReceivers(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	for _, name := range nettest.Receivers {
		nettest.Require(t, nettest.Program(name))
		for family, s := range proxied() {
			for what, c := range receiverCases {
				t.Run(name+", "+what+" "+family, func(t *testing.T) {
					t.Parallel()
					g, log := newReceived(t, s, name)
					if c.lost != "" {
						loses(t, g.Backends[0].Namespace, c.lost)
					}
					g.received(t, name, log, c.early)
					g.received(t, name, log, c.early)
					wantNoDrops(t, g.dp)
				})
			}
		}
	}
}

// newReceived is a gateway whose backend is a receiver with that log.
func newReceived(t *testing.T, s loader.Service, name string) (g *gateway, log string) {
	t.Helper()
	dir := t.TempDir()
	return newGateway(t, s, func(p *plan) {
		p.backends = 1
		p.serve = func(t *testing.T, n *nettest.Namespace, at netip.AddrPort) {
			inner := netip.MustParseAddrPort("127.0.0.1:2022")
			nettest.ServeForTest(t, n, inner, nettest.ServerOptions{Banner: "SSH-2.0-b1\r\n", Echo: true})
			nettest.ReceiveForTest(t, n, name, dir, []netip.AddrPort{at}, inner)
		}
	}), filepath.Join(dir, nettest.ReceiverLog)
}

// received is one connection, and what the receiver has logged of it.
func (g *gateway) received(t *testing.T, name, log string, early int) {
	t.Helper()
	w := &proxyWorld{gateway: g}
	c := w.connect(t)
	speak(t, c, early)
	exchangeRandom(t, c, 100_000)
	f, _ := find(t, g.dp, client(c))
	must(t, c.Close())
	want := fmt.Sprintf("%s %d %s %d", client(c).Addr(), client(c).Port(), g.listen.Addr(), g.listen.Port())
	if name == "haproxy" {
		want += " " + strings.ToUpper(f.ID.String())
	}
	logged(t, log, want)
}

// logged waits until a receiver has written a line.
func logged(t *testing.T, file, want string) {
	t.Helper()
	var b []byte
	defer func() {
		if t.Failed() {
			t.Logf("want %q in the log:\n%s", want, b)
		}
	}()
	inTicks(t, "the receiver has logged the connection", func() bool {
		var err error
		b, err = os.ReadFile(file)
		must(t, err)
		return strings.Contains("\n"+string(b), "\n"+want+"\n")
	})
}
