package steering

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/loader"
)

// clock is both clocks of a test; it stands still unless it is moved.
type clock struct {
	mu sync.Mutex
	at time.Duration
}

var clockStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *clock) monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) now() time.Time { return clockStart.Add(c.monotonic()) }

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at += d
}

// fakeChecker keeps what it is told to check; the test says what comes of it.
type fakeChecker struct {
	mu      sync.Mutex
	checks  map[CheckID]Check
	sets    int
	results chan CheckResult
}

func (c *fakeChecker) SetChecks(checks []Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sets++
	c.checks = map[CheckID]Check{}
	for _, check := range checks {
		c.checks[check.CheckID] = check
	}
}

func (c *fakeChecker) Results() <-chan CheckResult { return c.results }

func (c *fakeChecker) running() []CheckID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Keys(c.checks), func(a, b CheckID) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

// fakeResolver gives each address a next hop of its own.
type fakeResolver struct {
	dp       *fakeDataplane
	mu       sync.Mutex
	acquired map[netip.Addr]int
	sources  map[netip.Addr]netip.Addr
	macs     map[netip.Addr]net.HardwareAddr
	next     loader.NextHopID
	local    netip.Addr // Acquire refuses it
	wanted   []netip.Addr
	settled  int
}

func (r *fakeResolver) Acquire(addr netip.Addr, current loader.NextHopID) (loader.NextHopID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if addr == r.local {
		return 0, fmt.Errorf("resolve next hop of %v: it is an address of this node", addr)
	}
	r.acquired[addr]++
	if current != 0 {
		return current, nil
	}
	return r.hop(), nil
}

// hop makes a next hop that is ready.
func (r *fakeResolver) hop() loader.NextHopID {
	r.dp.mu.Lock()
	defer r.dp.mu.Unlock()
	r.next = loader.NextHopID(len(r.dp.hops) + 1)
	r.ready(r.next)
	return r.next
}

// ready lets the neighbour behind a next hop answer.
func (r *fakeResolver) ready(id loader.NextHopID) {
	r.dp.hops[id] = loader.NextHop{Interface: 2, Destination: net.HardwareAddr{2, 0, 0, 0, 0, byte(id)}, Ready: true}
}

func (r *fakeResolver) Release(addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acquired[addr]--; r.acquired[addr] == 0 {
		delete(r.acquired, addr)
	}
}

func (r *fakeResolver) Source(addr netip.Addr) netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sources[addr]
}

// Neighbour is b<n>'s MAC, which ends in n, once moved on.
func (r *fakeResolver) Neighbour(addr netip.Addr) net.HardwareAddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if mac, ok := r.macs[addr]; ok {
		return mac
	}
	return net.HardwareAddr{2, 0, 0, 0, 1, addr.As16()[15]}
}

func (r *fakeResolver) Settle() error { r.settled++; return nil }

func (r *fakeResolver) Want(addr netip.Addr, _ int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = append(r.wanted, addr)
}

// rig is a Table on a dataplane, with everything around it in the test's hand.
type rig struct {
	*testing.T
	clock    *clock
	dp       *fakeDataplane
	checker  *fakeChecker
	resolver *fakeResolver
	opt      Options
	table    *Table
	drainer  *drainer
	clients  int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	c := &clock{at: time.Hour}
	dp := newFakeDataplane(c)
	r := &rig{T: t, clock: c, dp: dp}
	r.resolver = &fakeResolver{dp: dp, acquired: map[netip.Addr]int{}}
	r.opt = Options{DataDir: t.TempDir(), now: c.now, monotonic: c.monotonic, save: quickSave, Resolver: r.resolver}
	r.restart()
	t.Cleanup(func() {
		dp.mu.Lock()
		defer dp.mu.Unlock()
		for _, text := range dp.misdirected {
			t.Errorf("misdirected: %s", text)
		}
	})
	return r
}

// quickSave does not wait for the disk: nothing here survives a power loss.
func quickSave(dir, name string, data []byte) error {
	return os.WriteFile(filepath.Join(dir, name), data, 0o600)
}

// restart makes a new Table from what the old one left.
func (r *rig) restart() {
	r.Helper()
	r.checker = &fakeChecker{results: make(chan CheckResult)}
	r.resolver.acquired = map[netip.Addr]int{}
	r.opt.Checker = r.checker
	table, err := New(r.dp, r.opt)
	if err != nil {
		r.Fatal(err)
	}
	r.table, r.drainer = table, newDrainer(table)
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// vip is where services of tests listen if nothing else is said.
var vip = addrPort("192.0.2.3:22")

// serving returns a service in mode nat with the backends, which are written
// as "name", "name*weight", and live at 10.0.0.<number in the name>:22.
func serving(backends ...string) config.Service {
	s := config.Service{
		Name: "ssh", Listen: vip, Mode: config.ModeNAT, ClientAddress: config.ClientHide,
		HealthCheck: config.HealthCheck{Type: config.HealthCheckSSH, Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3},
		OnDown:      config.OnDownKeep,
	}
	for _, text := range backends {
		b := config.Backend{Weight: 1}
		if n, _ := fmt.Sscanf(strings.ReplaceAll(text, "*", " "), "%s %d", &b.Name, &b.Weight); n == 0 {
			panic(text)
		}
		b.Addr = backendAddr(b.Name)
		s.Backends = append(s.Backends, b)
	}
	return s
}

func backendAddr(name string) netip.AddrPort {
	var n byte
	if _, err := fmt.Sscanf(name, "b%d", &n); err != nil {
		panic(name)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 22)
}

// at moves a service to another name and address.
func at(s config.Service, name, listen string) config.Service {
	s.Name, s.Listen = name, addrPort(listen)
	return s
}

func with(s config.Service, edit func(*config.Service)) config.Service {
	edit(&s)
	return s
}

func settings(services ...config.Service) *config.Settings {
	s := &config.Settings{Services: services}
	s.Dataplane.Lifetimes.Embryo = time.Minute
	return s
}

func (r *rig) apply(services ...config.Service) []Change {
	r.Helper()
	changes, err := r.table.Apply(context.Background(), settings(services...))
	if err != nil {
		r.Fatal(err)
	}
	return changes
}

// allUp lets every check that runs succeed.
func (r *rig) allUp() {
	r.Helper()
	var results []CheckResult
	for _, id := range r.checker.running() {
		results = append(results, CheckResult{CheckID: id, Up: true})
	}
	r.results(results...)
}

func (r *rig) results(results ...CheckResult) {
	r.Helper()
	if err := r.table.applyResults(results); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) down(names ...string) {
	r.Helper()
	for _, name := range names {
		r.results(CheckResult{CheckID: CheckID{Backend: backendAddr(name)}, Reason: "connection refused"})
	}
}

func (r *rig) up(names ...string) {
	r.Helper()
	for _, name := range names {
		r.results(CheckResult{CheckID: CheckID{Backend: backendAddr(name)}, Up: true})
	}
}

// run moves the clock in steps in which all loops get their turn.
func (r *rig) run(d time.Duration) {
	r.Helper()
	for step := d / 8; d > 0; d -= step {
		r.clock.advance(step)
		if err := r.drainer.tick(); err != nil {
			r.Fatal(err)
		}
		r.table.pass(context.Background())
	}
}

// client returns an address that was not used yet.
func (r *rig) client() netip.AddrPort {
	r.clients++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(r.clients >> 8), byte(r.clients)}), uint16(40000+r.clients%20000))
}

// flow opens one to listen and fails the test where that is refused.
func (r *rig) flow(listen netip.AddrPort) (client, backend netip.AddrPort) {
	r.Helper()
	client = r.client()
	backend, ok := r.dp.open(client, listen)
	if !ok {
		r.Fatalf("a connection of %v to %v was refused", client, listen)
	}
	return client, backend
}

// flowTo opens flows until one meets the backend.
func (r *rig) flowTo(listen netip.AddrPort, name string) (client netip.AddrPort) {
	r.Helper()
	for range 1000 {
		if client, backend := r.flow(listen); backend == backendAddr(name) {
			return client
		}
	}
	r.Fatalf("none of 1000 flows met %s", name)
	return client
}

// lives checks that a flow still reaches the backend it began with.
func (r *rig) lives(client, listen netip.AddrPort, backend string) {
	r.Helper()
	if got, ok := r.dp.data(client, listen); !ok || got != backendAddr(backend) {
		r.Errorf("packet of %v reached %v (%v), want %s", client, got, ok, backend)
	}
}

// takers returns which backends the ring of listen names, sorted.
func (r *rig) takers(listen netip.AddrPort) []string {
	r.dp.mu.Lock()
	defer r.dp.mu.Unlock()
	found := map[string]bool{}
	if ring, ok := r.dp.rings[r.dp.published[listen]]; ok {
		for id := range ring.named() {
			if m, ok := r.dp.members[id]; ok {
				found[fmt.Sprintf("b%d", m.Addr.Addr().As4()[3])] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (r *rig) wantTakers(listen netip.AddrPort, want ...string) {
	r.Helper()
	if diff := cmp.Diff(want, r.takers(listen)); diff != "" {
		r.Errorf("new flows to %v go to (-want +got):\n%s", listen, diff)
	}
}

func (r *rig) status() Status {
	r.Helper()
	s, err := r.table.Status()
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) backend(name string) BackendStatus {
	r.Helper()
	s := r.status()
	at := slices.IndexFunc(s.Backends, func(b BackendStatus) bool { return b.Addr == backendAddr(name) })
	if at < 0 {
		return BackendStatus{}
	}
	return s.Backends[at]
}

func (r *rig) wantState(name string, want State) {
	r.Helper()
	if got := r.backend(name).State; got != want {
		r.Errorf("%s is %q, want %q", name, got, want)
	}
}

func named(names ...string) Selection { return Selection{Backends: names} }
