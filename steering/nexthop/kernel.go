package nexthop

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// key names a neighbour: an address behind an interface. The zero link is no
// interface: nothing leads to the address at present.
type key struct {
	link int
	addr netip.Addr
}

// route is what the routing table says of an address: which neighbour leads
// there, and which address of ours packets to it bear.
type route struct {
	key
	source netip.Addr
}

// neighbour is what the kernel knows of one.
type neighbour struct {
	state   uint16 // NUD_…
	mac     net.HardwareAddr
	managed bool // the kernel keeps it resolved without traffic
}

// valid says that frames may be sent to the neighbour's MAC. A stale one
// counts: it is what the kernel would use, too.
func (n neighbour) valid() bool {
	const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE |
		unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY
	return n.state&valid != 0 && len(n.mac) == macLength
}

// static says that an administrator wrote the entry. Having the kernel manage
// it would silently turn it into a learnt one.
func (n neighbour) static() bool { return n.state&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0 }

func (n neighbour) failed() bool { return n.state&unix.NUD_FAILED != 0 }

const macLength = 6

// link is an interface as the kernel describes it.
type link struct {
	index int
	name  string
	kind  string // as "ip -d link" calls it, "device" for hardware
	up    bool   // administratively, and with a carrier
	mac   net.HardwareAddr
	mtu   int
	// parent is the interface below a VLAN or macvlan, 0 for none; abroad says
	// that it is in another network namespace.
	parent int
	abroad bool
	vlan   uint16
}

// kernel is what the resolver asks of rtnetlink. Tests put another one in.
type kernel interface {
	// lookup asks the routing table. The error matches ErrLocal for an address
	// of the node, and else says why no packet can go there.
	lookup(netip.Addr) (route, error)
	link(index int) (link, error)
	// neighbours returns the neighbours of every interface.
	neighbours() (map[key]neighbour, error)
	// manage has the kernel keep a neighbour resolved, where it knows how.
	manage(key) error
	// poke has the kernel resolve or confirm a neighbour once, and ends its
	// management.
	poke(key) error
	close()
}

// source tells what changes in the kernel. receive blocks; close ends it with an
// error.
type source interface {
	receive() ([]event, error)
	close()
}
