package nexthop

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/loader"
)

// fakeKernel is a kernel whose answers a test writes. Neighbours that are asked
// for appear as managed or, on an old kernel, without a mark.
type fakeKernel struct {
	mu      sync.Mutex
	routes  map[netip.Addr]key
	sources map[netip.Addr]netip.Addr
	local   map[netip.Addr]bool
	ifaces  map[int]link
	neigh   map[key]neighbour
	old     bool // knows nothing of NTF_EXT_MANAGED
	pokes   map[key]int
	looks   int
	closed  int
}

func newFakeKernel() *fakeKernel {
	return &fakeKernel{
		routes: make(map[netip.Addr]key), sources: make(map[netip.Addr]netip.Addr), local: make(map[netip.Addr]bool),
		ifaces: make(map[int]link), neigh: make(map[key]neighbour), pokes: make(map[key]int),
	}
}

// card adds an interface like hardware's.
func (k *fakeKernel) card(index int) {
	k.ifaces[index] = link{index: index, name: fmt.Sprintf("eth%d", index), kind: "device", up: true, mac: mac(0xee, index), mtu: 1500}
}

func (k *fakeKernel) lookup(a netip.Addr) (route, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looks++
	if k.local[a] {
		return route{}, ErrLocal
	}
	at, ok := k.routes[a]
	if !ok {
		return route{}, errors.New("no route")
	}
	return route{at, k.sources[a]}, nil
}

func (k *fakeKernel) link(index int) (link, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.ifaces[index]
	if !ok {
		return link{}, fmt.Errorf("look up interface %d: not there", index)
	}
	return l, nil
}

func (k *fakeKernel) neighbours() (map[key]neighbour, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.neigh), nil
}

func (k *fakeKernel) manage(at key) error { return k.mark(at, !k.old) }

func (k *fakeKernel) poke(at key) error {
	k.mu.Lock()
	k.pokes[at]++
	k.mu.Unlock()
	return k.mark(at, false)
}

func (k *fakeKernel) mark(at key, managed bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.ifaces[at.link]; !ok {
		return unix.ENODEV
	}
	n, ok := k.neigh[at]
	if !ok {
		n.state = unix.NUD_INCOMPLETE
	}
	n.managed = managed
	k.neigh[at] = n
	return nil
}

func (k *fakeKernel) close() { k.closed++ }

// answers has a neighbour answer with a MAC and returns the event that tells.
func (k *fakeKernel) answers(at key, hw net.HardwareAddr) event {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.neigh[at]
	n.state, n.mac = unix.NUD_REACHABLE, hw
	k.neigh[at] = n
	return event{kind: eventNeighbour, key: at, neighbour: n}
}

// falls silent: the neighbour was asked and did not answer.
func (k *fakeKernel) silent(at key) event {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.neigh[at]
	n.state, n.mac = unix.NUD_FAILED, nil
	k.neigh[at] = n
	return event{kind: eventNeighbour, key: at, neighbour: n}
}

// fakeSource hands out what a test sends.
type fakeSource struct {
	events chan []event
	once   sync.Once
	done   chan struct{}
	broken chan error
}

func newFakeSource() *fakeSource {
	return &fakeSource{events: make(chan []event), done: make(chan struct{}), broken: make(chan error)}
}

func (s *fakeSource) receive() ([]event, error) {
	select {
	case batch := <-s.events:
		return batch, nil
	case err := <-s.broken:
		return nil, err
	case <-s.done:
		return nil, os.ErrClosed
	}
}

func (s *fakeSource) close() { s.once.Do(func() { close(s.done) }) }

// fakeTable is the loader's next-hop table.
type fakeTable struct {
	mu      sync.Mutex
	entries map[loader.NextHopID]loader.NextHop
	members map[loader.MemberID]loader.Member
	bumps   int
	writes  int
	err     error
}

func newFakeTable() *fakeTable {
	return &fakeTable{entries: make(map[loader.NextHopID]loader.NextHop)}
}

func (t *fakeTable) NextHops() (map[loader.NextHopID]loader.NextHop, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.entries), t.err
}

func (t *fakeTable) Members() (map[loader.MemberID]loader.Member, error) {
	return t.members, t.err
}

// name has the table's only member be a backend that names an id.
func (t *fakeTable) name(a netip.Addr, id loader.NextHopID) {
	t.members = map[loader.MemberID]loader.Member{1: {Addr: netip.AddrPortFrom(a, 22), NextHop: id}}
}

func (t *fakeTable) PutNextHop(id loader.NextHopID, n loader.NextHop) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	if id == 0 || id >= loader.MaxNextHops {
		return fmt.Errorf("id %d is out of range", id)
	}
	t.writes++
	if same(n, loader.NextHop{}) {
		delete(t.entries, id)
	} else {
		t.entries[id] = n
	}
	return nil
}

func (t *fakeTable) BumpRoutes() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	t.bumps++
	return nil
}

func (t *fakeTable) entry(id loader.NextHopID) loader.NextHop {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[id]
}

// mac is a MAC that tells what it belongs to.
func mac(kind byte, n int) net.HardwareAddr {
	return net.HardwareAddr{0x02, kind, 0, 0, byte(n >> 8), byte(n)}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func mustResolver(t *testing.T, dp Dataplane, o Options, k kernel, s source) *Resolver {
	t.Helper()
	r, err := newResolver(dp, o, k, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustAcquire(t *testing.T, r *Resolver, a netip.Addr) loader.NextHopID {
	t.Helper()
	id, err := r.Acquire(a)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// statusOf returns the snapshot's line of an address.
func statusOf(t *testing.T, r *Resolver, a netip.Addr) Status {
	t.Helper()
	for _, s := range r.Snapshot() {
		if s.Addr == a {
			return s
		}
	}
	t.Fatalf("no status of %s", a)
	return Status{}
}
