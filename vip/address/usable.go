package address

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// readyWithin bounds the wait for a kernel that is busy.
const readyWithin = 2 * time.Second

// await returns when the kernel answers for the IPv6 VIPs of a set. It takes new
// addresses in by a work queue: until that has run, their packets are dropped
// and nobody is told where they are, whatever the list of addresses says.
func (s *Set) await(sc *scene) error {
	var due []target
	for _, p := range s.places {
		l, there := sc.named(p.name)
		parent, _ := sc.named(p.parent)
		for _, vip := range p.vips {
			if there && vip.Is6() && parent.up && parent.carrier {
				due = append(due, target{l, vip})
			}
		}
	}
	due, err := pending(due)
	if err != nil || len(due) == 0 {
		return err
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("watch routes: %v", err)
	}
	defer socket.Close()
	for deadline := time.Now().Add(readyWithin); ; {
		// After the subscription, or what came in between would be missed.
		if due, err = pending(due); err != nil || len(due) == 0 {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("VIP %s on %q cannot be reached %v after it was put there; is IPv6 disabled there?", due[0].addr, due[0].link.name, readyWithin)
		}
		if err := wait(socket, left); err != nil {
			return err
		}
	}
}

// wait returns with the next message, a loss of some, or after a time.
func wait(socket *nl.NetlinkSocket, most time.Duration) error {
	timeout := unix.NsecToTimeval(max(most, time.Millisecond).Nanoseconds())
	if err := socket.SetReceiveTimeout(&timeout); err != nil {
		return fmt.Errorf("watch routes: %v", err)
	}
	_, _, err := socket.Receive()
	if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("watch routes: %v", err)
	}
	return nil
}

// target is an address that is to be reached on an interface.
type target struct {
	link link
	addr netip.Addr
}

// pending are those that have no local route by their interface yet, which is
// the last thing that the kernel makes for an address.
func pending(due []target) ([]target, error) {
	var rest []target
	for _, d := range due {
		filter := &netlink.Route{Table: unix.RT_TABLE_LOCAL, LinkIndex: d.link.index, Dst: netlink.NewIPNet(d.addr.AsSlice())}
		routes, err := netlink.RouteListFiltered(unix.AF_INET6, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list routes: %v", err)
		}
		if len(routes) == 0 {
			rest = append(rest, d)
		}
	}
	return rest, nil
}
