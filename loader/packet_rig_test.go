package loader

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/internal/nettest"
)

// rig is a dataplane on a gateway that has two interfaces and nobody behind
// them: packets are handed to the program one by one, by Program.Run.
//
//	clients ── router ── ext0 [gateway] int0 ── near
//	            far ──────┘
//
// Backend near is on the other interface than the clients, so what goes to it
// is redirected; far is on the same, so it is sent back where it came from.
type rig struct {
	d        *Dataplane
	ns       *nettest.Namespace
	ext, int iface
	hops     map[NextHopID]NextHop
	services map[ServiceID]Service
	clients  int
	jobs     chan func()
}

// iface is one interface of the gateway.
type iface struct {
	name  string
	index int
	mac   net.HardwareAddr
}

// The next hops, of both families.
const (
	hopRouter NextHopID = iota + 1
	hopNear
	hopFar
)

var (
	routerMAC = net.HardwareAddr{2, 0, 0, 0, 1, 0xfe}
	nearMAC   = net.HardwareAddr{2, 0, 0, 0, 2, 0x11}
	farMAC    = net.HardwareAddr{2, 0, 0, 0, 1, 0x12}
)

// The two spans of source ports. They hold the ports of the services.
var rigPorts = [2][2]uint16{{20, 4000}, {61000, 61999}}

// rigFlows makes tables that are small, and still large enough that the flows
// of one theme do not push each other out.
const rigFlows = 4096

func newRig(t testing.TB, edits ...func(*Options)) *rig {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	r := &rig{services: map[ServiceID]Service{}, jobs: make(chan func())}
	r.wire(t)
	pins := &earlyCleanup{TB: t}
	t.Cleanup(pins.run)
	o := Options{
		Dir:        filepath.Join(nettest.BPFFS(pins), "sluice"),
		Interfaces: []string{r.ext.name, r.int.name},
		MaxFlows:   rigFlows,
		Key:        [16]byte{4, 2, 1},
	}
	for _, edit := range edits {
		edit(&o)
	}
	err := r.ns.Do(func() (err error) {
		r.d, err = Open(o)
		return err
	})
	mustRig(t, err)
	t.Cleanup(func() { r.d.Close() })
	mustRig(t, r.d.SetPorts(rigPorts[0][0], rigPorts[0][1], rigPorts[1][0], rigPorts[1][1]))
	r.setHops(t, 0)
	for _, f := range families {
		r.putServices(t, f)
	}
	r.work(t)
	t.Cleanup(pins.run)
	return r
}

// earlyCleanup holds back what is to be cleaned up, so that it can come first.
// A fuzzing worker is killed a second after its last input, in the middle of
// closing namespaces and maps; a mount would outlive it.
type earlyCleanup struct {
	testing.TB
	undo []func()
}

// Cleanup notes fn for run.
func (e *earlyCleanup) Cleanup(fn func()) { e.undo = append(e.undo, fn) }

// run does what was noted, once, the last first.
func (e *earlyCleanup) run() {
	for _, fn := range slices.Backward(e.undo) {
		fn()
	}
	e.undo = nil
}

// work keeps one thread in the namespace: the program must be run from where
// its interface is.
func (r *rig) work(t testing.TB) {
	done := make(chan error, 1)
	go func() {
		done <- r.ns.Do(func() error {
			for job := range r.jobs {
				job()
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		close(r.jobs)
		mustRig(t, <-done)
	})
}

// inside runs fn on that thread.
func (r *rig) inside(fn func()) {
	done := make(chan struct{})
	r.jobs <- func() {
		defer close(done)
		fn()
	}
	<-done
}

// wire makes the gateway's interfaces, addresses, routes and neighbours.
func (r *rig) wire(t testing.TB) {
	r.ns = nettest.ForTest(t)
	world := nettest.ForTest(t)
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		mustRig(t, r.ns.SetSysctl(key, "1"))
	}
	r.ext = r.addInterface(t, world, "ext0", "192.0.2.1/24", "2001:db8:1::1/64")
	r.int = r.addInterface(t, world, "int0", "10.0.0.1/24", "2001:db8:2::1/64")
	mustRig(t, r.ns.Settled(t.Context()))
	for _, f := range families {
		mustRig(t, r.ns.SetDefaultRoute(f.router))
		r.addNeighbour(t, r.ext, f.router, routerMAC)
		r.addNeighbour(t, r.int, f.near.Addr(), nearMAC)
		r.addNeighbour(t, r.ext, f.far.Addr(), farMAC)
	}
}

func (r *rig) addInterface(t testing.TB, world *nettest.Namespace, name string, addrs ...string) iface {
	mustRig(t, nettest.Veth(r.ns, name, world, name))
	for _, a := range addrs {
		mustRig(t, r.ns.AddAddr(name, netip.MustParsePrefix(a)))
	}
	index, err := r.ns.Index(name)
	mustRig(t, err)
	mac, err := r.ns.MAC(name)
	mustRig(t, err)
	return iface{name: name, index: index, mac: mac}
}

func (r *rig) addNeighbour(t testing.TB, at iface, addr netip.Addr, mac net.HardwareAddr) {
	mustRig(t, r.ns.Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: at.index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac,
	}))
}

// setHops puts all next hops on a VLAN, 0 for none.
func (r *rig) setHops(t testing.TB, vlan uint16) {
	hop := func(at iface, to net.HardwareAddr) NextHop {
		return NextHop{Interface: at.index, Source: at.mac, Destination: to, VLAN: vlan, MTU: 1500, Ready: true}
	}
	r.hops = map[NextHopID]NextHop{
		hopRouter: hop(r.ext, routerMAC), hopNear: hop(r.int, nearMAC), hopFar: hop(r.ext, farMAC),
	}
	for id, h := range r.hops {
		mustRig(t, r.d.PutNextHop(id, h))
	}
}

// at is the interface a next hop is behind.
func (r *rig) at(hop NextHopID) iface {
	if r.hops[hop].Interface == r.int.index {
		return r.int
	}
	return r.ext
}

func mustRig(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
