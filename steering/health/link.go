package health

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/loader"
)

// The two ends of the check link. The stack sends probes by stackEnd and hears
// the answers there; XDP meets them on xdpEnd.
const (
	stackEnd = "sluice-chk0"
	xdpEnd   = "sluice-chk1"
)

// Their MACs are given, not drawn: they mark the pair as ours, and udev, which
// replaces drawn ones by its own some time after an interface appears, leaves
// given ones alone.
var (
	stackMAC = net.HardwareAddr{0x02, 0x73, 0x6c, 0x63, 0x6b, 0x00}
	xdpMAC   = net.HardwareAddr{0x02, 0x73, 0x6c, 0x63, 0x6b, 0x01}
)

// linkMTU is IPv6's minimum: what a backend sends in answer fits every path to
// it, whatever that is, and so every interface it is redirected to.
const linkMTU = 1280

// LinkDataplane is the part of the loader that the check link needs.
type LinkDataplane interface {
	// AttachCheck attaches the steering program to ours and one that passes
	// everything to stack. It may be called again.
	AttachCheck(ours, stack string) error
	// SetCheckLink names the interface of ours and the MAC of stack.
	SetCheckLink(ifindex int, stack net.HardwareAddr) error
	PutCheck(netip.Addr, loader.MemberID) error
	DeleteCheck(netip.Addr) error
}

// Link is how backends of one-way modes are checked. What a node sends itself never passes
// XDP, and a VIP that it holds it would even dial at home. So the node dials a
// check address that stands for one member, over a veth pair of ours: XDP on
// the far end sends the probe to the VIP by the member's next hop, as it does
// with a client's packet, and turns the answer back into the pair.
//
// A probe bears the node's own address towards the backend, which the backend
// can answer to. That an answer comes back from a range routed to the pair
// makes it pass every reverse path filter.
type Link struct {
	dp     LinkDataplane
	v4, v6 netip.Prefix
	no6    error // why there is no IPv6
}

// OpenLink makes the check link in the network namespace of the calling
// thread, or takes over the one that an earlier process left there, and has
// the programs attached to it. It needs CAP_NET_ADMIN and writes nothing below
// /proc/sys, which a hardened unit sees read-only.
//
// The link stays when the process ends; RemoveLink takes it away.
func OpenLink(dp LinkDataplane) (*Link, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %v", err)
	}
	defer h.Close()
	p, made, err := findOrMake(h)
	if err != nil {
		return nil, fmt.Errorf("make check link: %v", err)
	}
	l := &Link{dp: dp}
	if err := l.setUp(h, p); err != nil {
		if made {
			err = errors.Join(err, h.LinkDel(p.stack))
		}
		return nil, fmt.Errorf("set up check link: %v", err)
	}
	return l, nil
}

func (l *Link) setUp(h *netlink.Handle, p pair) error {
	if err := p.configure(h); err != nil {
		return err
	}
	if err := l.route(h, p); err != nil {
		return err
	}
	if err := l.dp.AttachCheck(xdpEnd, stackEnd); err != nil {
		return err
	}
	return l.dp.SetCheckLink(p.xdp.Attrs().Index, stackMAC)
}

// Add makes a check address stand for member m, whose VIP is of vip's family,
// and returns it. The address follows from m, so it is the same after a
// restart.
func (l *Link) Add(m loader.MemberID, vip netip.Addr) (netip.Addr, error) {
	if m == 0 || m >= loader.MaxMembers {
		return netip.Addr{}, fmt.Errorf("add check address for member %d: ids run from 1 to %d", m, loader.MaxMembers-1)
	}
	prefix := l.v4
	if !vip.Unmap().Is4() {
		if prefix = l.v6; l.no6 != nil {
			return netip.Addr{}, fmt.Errorf("add check address for member %d: %v", m, l.no6)
		}
	}
	addr := nth(prefix, uint16(m))
	if err := l.dp.PutCheck(addr, m); err != nil {
		return netip.Addr{}, err
	}
	return addr, nil
}

// Remove takes a check address away that Add returned.
func (l *Link) Remove(check netip.Addr) error { return l.dp.DeleteCheck(check) }

// RemoveLink takes the check link of the calling thread's network namespace
// away. That there is none is no error.
func RemoveLink() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %v", err)
	}
	defer h.Close()
	for _, end := range []struct {
		name string
		mac  net.HardwareAddr
	}{{stackEnd, stackMAC}, {xdpEnd, xdpMAC}} {
		link, err := find(h, end.name, end.mac)
		if err != nil {
			return fmt.Errorf("remove check link: %v", err)
		}
		if link == nil {
			continue // gone with its other end, most likely
		}
		if err := h.LinkDel(link); err != nil {
			return fmt.Errorf("remove check link %q: %v", end.name, err)
		}
	}
	return nil
}
