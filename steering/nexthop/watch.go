package nexthop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// event is one change in the kernel.
type event struct {
	kind      eventKind
	key       key // neighbours
	neighbour neighbour
	prefix    netip.Prefix // routes and addresses: whom it concerns
	link      int          // links
}

type eventKind uint8

const (
	eventNeighbour eventKind = iota + 1
	eventNeighbourGone
	eventRoute
	eventAddress
	eventLink
	// eventPolicy is a change of rules or nexthop objects: any route may have
	// changed.
	eventPolicy
	// eventLost says that events were lost, since the kernel found no room.
	eventLost
)

// watch is one socket for every kind of change, so that they arrive in the
// order in which they happened.
type watch struct{ socket *nl.NetlinkSocket }

// watchBuffer is what a router's full table sends in a burst. More is lost and
// made up for by reading everything again.
const watchBuffer = 1 << 20

func subscribe() (*watch, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
		unix.RTNLGRP_NEXTHOP)
	if err != nil {
		return nil, fmt.Errorf("watch routes and neighbours: %v", err)
	}
	// Without CAP_NET_ADMIN the default has to do.
	_ = s.SetReceiveBufferSize(watchBuffer, true)
	return &watch{socket: s}, nil
}

func (w *watch) close() { w.socket.Close() }

// receive implements source.
func (w *watch) receive() ([]event, error) {
	messages, from, err := w.socket.Receive()
	switch {
	case errors.Is(err, unix.ENOBUFS):
		// The socket goes on; only what it could not hold is gone.
		return []event{{kind: eventLost}}, nil
	case err != nil:
		return nil, fmt.Errorf("watch routes and neighbours: %v", err)
	case from.Pid != nl.PidKernel:
		// Any process may send to a netlink socket; it is not to be believed.
		return nil, nil
	}
	var events []event
	for _, m := range messages {
		if e, ok := decode(m); ok {
			events = append(events, e)
		}
	}
	return events, nil
}

// decode reads one message. ok is false for one that does not matter here.
func decode(m syscall.NetlinkMessage) (e event, ok bool) {
	switch m.Header.Type {
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		return decodeNeighbour(m)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		e = event{kind: eventRoute}
		e.prefix, ok = decodePrefix(m.Data, unix.SizeofRtMsg, unix.RTA_DST)
		return e, ok
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		// IPv4 tells a point-to-point peer as the address; the local one is ours.
		e = event{kind: eventAddress}
		e.prefix, ok = decodePrefix(m.Data, unix.SizeofIfAddrmsg, unix.IFA_LOCAL, unix.IFA_ADDRESS)
		return e, ok
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return event{}, false
		}
		return event{kind: eventLink, link: int(int32(binary.NativeEndian.Uint32(m.Data[4:])))}, true
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return event{kind: eventPolicy}, true
	}
	return event{}, false
}

// decodeNeighbour reads struct ndmsg: family, 3 bytes, u32 interface, u16 state.
func decodeNeighbour(m syscall.NetlinkMessage) (event, bool) {
	attrs, ok := attributes(m.Data, unix.SizeofNdMsg)
	if !ok {
		return event{}, false
	}
	addr, ok := netip.AddrFromSlice(attrs[netlink.NDA_DST])
	if family := m.Data[0]; !ok || (family != unix.AF_INET && family != unix.AF_INET6) {
		return event{}, false // the forwarding table of a bridge speaks the same language
	}
	e := event{kind: eventNeighbour, key: key{
		link: int(int32(binary.NativeEndian.Uint32(m.Data[4:]))),
		addr: addr.Unmap(),
	}}
	if m.Header.Type == unix.RTM_DELNEIGH {
		e.kind = eventNeighbourGone
		return e, true
	}
	e.neighbour.state = binary.NativeEndian.Uint16(m.Data[8:])
	e.neighbour.mac = net.HardwareAddr(slices.Clone(attrs[netlink.NDA_LLADDR]))
	if flags := attrs[netlink.NDA_FLAGS_EXT]; len(flags) >= 4 {
		e.neighbour.managed = binary.NativeEndian.Uint32(flags)&netlink.NTF_EXT_MANAGED != 0
	}
	return e, true
}

// decodePrefix reads whom a route or address is about: family and length stand
// at the same place in both headers. A missing address is a default route.
func decodePrefix(data []byte, header int, kinds ...uint16) (netip.Prefix, bool) {
	attrs, ok := attributes(data, header)
	if !ok {
		return netip.Prefix{}, false
	}
	for _, kind := range kinds {
		if addr, ok := netip.AddrFromSlice(attrs[kind]); ok {
			p := netip.PrefixFrom(addr, int(data[1]))
			return p, p.IsValid()
		}
	}
	switch data[0] {
	case unix.AF_INET:
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	case unix.AF_INET6:
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
	}
	return netip.Prefix{}, false
}

// attributes returns the attributes behind a header of the given length. Each is
// u16 length with these four bytes, u16 kind, value, padded to four.
func attributes(data []byte, header int) (map[uint16][]byte, bool) {
	if len(data) < header {
		return nil, false
	}
	attrs := make(map[uint16][]byte)
	for rest := data[header:]; len(rest) >= unix.SizeofRtAttr; {
		length := int(binary.NativeEndian.Uint16(rest))
		if length < unix.SizeofRtAttr || length > len(rest) {
			return nil, false
		}
		attrs[binary.NativeEndian.Uint16(rest[2:])] = rest[unix.SizeofRtAttr:length]
		// The last one may come without its padding.
		rest = rest[min((length+3)&^3, len(rest)):]
	}
	return attrs, true
}
