package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/tools/bench/traffic"
)

// rig is a gateway with any number of lanes. A lane is one veth pair with one
// program under test on the gateway's end; frames are made on the far end and
// come back there.
//
//	far: fN ── gN: gateway
type rig struct {
	gw, far  *nettest.Namespace
	programs *traffic.Programs
	site     *site
	lanes    []*lane
	closers  []func() error
	// young is when flows of one-way modes have proven themselves; 0 is soon.
	young time.Duration
}

// lane is one program under test and its wire.
type lane struct {
	rig       *rig
	number    int
	near, end int // interface indexes of the gateway's and the far end
	hop       hop
	prog      *ebpf.Program
}

// hop is what is at the far end, seen from the gateway.
type hop struct{ source, destination []byte }

// newRig makes an empty one. On error nothing is left.
func newRig() (r *rig, err error) {
	r = &rig{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.site, err = openSite(); err != nil {
		return r, err
	}
	for _, n := range []**nettest.Namespace{&r.gw, &r.far} {
		if *n, err = nettest.New(""); err != nil {
			return r, err
		}
	}
	if err := r.gw.SetSysctl("net/ipv4/ip_forward", "1"); err != nil {
		return r, err
	}
	err = r.gw.Do(func() error {
		return asProduct(func() error {
			r.programs, err = traffic.Load()
			return err
		})
	})
	return r, err
}

// later has fn called by close, before those given earlier.
func (r *rig) later(fn func() error) { r.closers = append(r.closers, fn) }

// close takes everything down, whatever was up.
func (r *rig) close() error {
	var errs []error
	for _, fn := range slices.Backward(r.closers) {
		errs = append(errs, fn())
	}
	if r.programs != nil {
		errs = append(errs, r.programs.Close())
	}
	for _, n := range []*nettest.Namespace{r.gw, r.far} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	if r.site != nil {
		errs = append(errs, r.site.close())
	}
	return errors.Join(errs...)
}

// clients is the network whose addresses dial over a lane.
func (l *lane) clients() netip.Addr { return netip.AddrFrom4([4]byte{byte(16 + l.number), 0, 0, 0}) }

func (l *lane) nearName() string { return fmt.Sprintf("g%d", l.number) }
func (l *lane) endName() string  { return fmt.Sprintf("f%d", l.number) }

// pins is the folder for the pins of the lane's dataplane.
func (l *lane) pins() string { return filepath.Join(l.rig.site.bpffs, l.nearName()) }

// maxLanes is what the plan of addresses holds.
const maxLanes = 200

// lane wires one and puts the program on its far end that takes frames back.
func (r *rig) lane() (*lane, error) {
	l := &lane{rig: r, number: len(r.lanes)}
	if l.number == maxLanes {
		return nil, fmt.Errorf("add lane: there are %d", maxLanes)
	}
	r.lanes = append(r.lanes, l)
	if err := nettest.Veth(r.gw, l.nearName(), r.far, l.endName()); err != nil {
		return nil, err
	}
	if err := l.address(); err != nil {
		return nil, err
	}
	return l, l.attach(r.far, l.end, r.programs.Far())
}

// address gives the gateway a way to the lane's clients, whose router is the
// far end.
func (l *lane) address() (err error) {
	own := netip.AddrFrom4([4]byte{169, 254, byte(l.number), 2})
	router := netip.AddrFrom4([4]byte{169, 254, byte(l.number), 1})
	if err := l.rig.gw.AddAddr(l.nearName(), netip.PrefixFrom(own, 24)); err != nil {
		return err
	}
	if l.near, err = l.rig.gw.Index(l.nearName()); err != nil {
		return err
	}
	if l.end, err = l.rig.far.Index(l.endName()); err != nil {
		return err
	}
	if l.hop.source, err = l.rig.gw.MAC(l.nearName()); err != nil {
		return err
	}
	if l.hop.destination, err = l.rig.far.MAC(l.endName()); err != nil {
		return err
	}
	if err := setNeighbour(l.rig.gw, l.near, router, l.hop.destination); err != nil {
		return err
	}
	return l.rig.gw.SetRoute(netip.PrefixFrom(l.clients(), 8), router)
}

// setNeighbour tells a namespace once and for all who has an address.
func setNeighbour(n *nettest.Namespace, ifindex int, at netip.Addr, mac []byte) error {
	err := n.Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: ifindex, State: netlink.NUD_PERMANENT, IP: at.AsSlice(), HardwareAddr: mac,
	})
	if err != nil {
		return fmt.Errorf("name neighbour %s: %v", at, err)
	}
	return nil
}

// attach puts a program on one end of the lane until the rig is closed.
func (l *lane) attach(n *nettest.Namespace, ifindex int, prog *ebpf.Program) error {
	return n.Do(func() error {
		x, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: link.XDPDriverMode})
		if err != nil {
			return fmt.Errorf("attach to lane %d: %v", l.number, err)
		}
		l.rig.later(x.Close)
		return nil
	})
}

// carry makes one of the benchmark's own programs the one under test.
func (l *lane) carry(prog *ebpf.Program) error {
	l.prog = prog
	return l.attach(l.rig.gw, l.near, prog)
}

// send has the far end send frames of a stream.
func (l *lane) send(s *traffic.Stream, count int) error {
	return l.rig.far.Do(func() error { return l.rig.programs.Send(s, l.end, count) })
}

// feed runs the program under test on frames of a stream.
func (l *lane) feed(s *traffic.Stream, count int) (ns float64, err error) {
	err = l.rig.gw.Do(func() error {
		ns, err = l.rig.programs.Feed(s, l.prog, l.near, count)
		return err
	})
	return ns, err
}

// product are the capabilities the product's node process has. The verifier
// asks for CAP_PERFMON when it decides about barriers, so programs that are
// measured are loaded with these and no other.
var product = []uint{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}

// asProduct runs fn with the product's capabilities in effect for the calling
// thread, and gives the thread its own back.
func asProduct(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var own [2]unix.CapUserData
	if err := unix.Capget(&header, &own[0]); err != nil {
		return fmt.Errorf("read capabilities: %v", err)
	}
	reduced := own
	reduced[0].Effective, reduced[1].Effective = 0, 0
	for _, c := range product {
		reduced[c/32].Effective |= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &reduced[0]); err != nil {
		return fmt.Errorf("take the product's capabilities: %v; root is needed", err)
	}
	err := fn()
	if back := unix.Capset(&header, &own[0]); back != nil {
		err = errors.Join(err, fmt.Errorf("give capabilities back: %v", back))
	}
	return err
}
