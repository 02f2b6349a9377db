package ping

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a gateway whose ext0 leads to a switch with hosts on it.
type world struct {
	gateway, exchange *nettest.Namespace
	hosts             []*nettest.Namespace
}

func host4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, byte(n + 1)}) }
func host6(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x09, 15: byte(n + 1)})
}

func newWorld(t *testing.T, hosts int) *world {
	t.Helper()
	w := &world{gateway: nettest.ForTest(t), exchange: nettest.ForTest(t)}
	must(t, w.exchange.Bridge("br0"))
	w.plug(t, w.gateway, "gw", "ext0", 100)
	for n := range hosts {
		w.hosts = append(w.hosts, nettest.ForTest(t))
		w.plug(t, w.hosts[n], fmt.Sprintf("h%d", n), "eth0", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, n := range append(w.hosts, w.gateway, w.exchange) {
		must(t, n.Settled(ctx))
	}
	return w
}

// plug joins a machine to the switch.
func (w *world) plug(t *testing.T, n *nettest.Namespace, port, link string, number int) {
	t.Helper()
	must(t, nettest.Veth(w.exchange, port, n, link))
	must(t, w.exchange.Plug("br0", port))
	must(t, n.AddAddr(link, netip.PrefixFrom(host4(number), 24)))
	must(t, n.AddAddr(link, netip.PrefixFrom(host6(number), 64)))
}

// running is a monitor at work, and what it has told.
type running struct {
	*Monitor
	mu   sync.Mutex
	told []Status
}

// item is a fast one for tests; those that must not fail by chance have a long
// timeout.
func item(name string, hosts ...netip.Addr) Item {
	return Item{Name: name, Interface: "ext0", Hosts: hosts, Interval: 50 * time.Millisecond, Timeout: 50 * time.Millisecond, Fall: 3, Rise: 2}
}

// run starts a monitor in the gateway, until the test ends.
func (w *world) run(t *testing.T, items ...Item) *running {
	t.Helper()
	r := w.prepare(t, items...)
	w.start(t, r)
	return r
}

// start has a monitor run until the test ends.
func (w *world) start(t *testing.T, r *running) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
}

func (w *world) prepare(t *testing.T, items ...Item) *running {
	t.Helper()
	r := &running{}
	var err error
	r.Monitor, err = New(items, func(s Status) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, s)
	})
	must(t, err)
	r.open = func(p *path) error { return w.gateway.Do(p.open) }
	return r
}

// last is what was told last of an item.
func (r *running) last(name string) (s Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, told := range r.told {
		if told.Item == name {
			s = told
		}
	}
	return s
}

// until waits for a status of the first item, which must be told too.
func (r *running) until(t *testing.T, what string, is func(Status) bool) {
	t.Helper()
	eventually(t, what, func() bool { return is(r.Snapshot()[0]) }, func() string { return fmt.Sprintf("%+v", r.Snapshot()[0]) })
}

func (r *running) untilTold(t *testing.T, what string, is func(Status) bool) {
	t.Helper()
	r.until(t, what, is)
	name := r.Snapshot()[0].Item
	eventually(t, what+" (told)", func() bool { return is(r.last(name)) }, func() string { return fmt.Sprintf("%+v", r.last(name)) })
}

func failed(s Status) bool { return !s.OK }
func fine(s Status) bool   { return s.OK && s.Known }

// nft runs a script of nftables on a machine.
func nft(t *testing.T, n *nettest.Namespace, script string) {
	t.Helper()
	path, err := nettest.FindProgram("nft")
	must(t, err)
	cmd := n.Command(t.Context(), path, "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

// silence has a host drop echoes without a word, or no longer.
func silence(t *testing.T, n *nettest.Namespace, on bool) {
	t.Helper()
	nettest.Require(t, nettest.Program("nft"))
	if !on {
		nft(t, n, "delete table inet silence\n")
		return
	}
	nft(t, n, `table inet silence {
	chain in {
		type filter hook input priority 0
		icmp type echo-request drop
		icmpv6 type echo-request drop
	}
}
`)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually fails the test unless cond becomes true soon.
func eventually(t *testing.T, what string, cond func() bool, state func() string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s; it is %s", what, state())
		}
		time.Sleep(time.Millisecond)
	}
}
