package vips

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// protocol marks our routes; nobody has registered it
	// (iproute2's rt_protos, linux/rtnetlink.h).
	protocol = 83
	// metric lets the kernel's own route for an address go first.
	metric = 9000
)

// rtnetlink is the kernel of the calling thread's network namespace.
type rtnetlink struct{}

// dumps is how often a list is asked for that changed while it was read.
const dumps = 20

// whole returns a list of the kernel's in which nothing is missing.
func whole[T any](list func() ([]T, error)) (got []T, err error) {
	for range dumps {
		if got, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return got, err
}

// held implements kernel.
func (rtnetlink) held() (map[netip.Addr]bool, error) {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %v", err)
	}
	up := make(map[int]bool, len(links))
	for _, l := range links {
		up[l.Attrs().Index] = l.Attrs().Flags&net.FlagUp != 0 && l.Attrs().Flags&net.FlagLoopback == 0
	}
	addrs, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %v", err)
	}
	held := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a.IP); ok && up[a.LinkIndex] && a.Flags&unix.IFA_F_DADFAILED == 0 {
			held[addr.Unmap()] = true
		}
	}
	return held, nil
}

// routes implements kernel.
func (rtnetlink) routes() ([]netip.Addr, error) {
	filter := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Protocol: protocol}
	var list []netip.Addr
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := whole(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		})
		if err != nil && !(family == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT)) {
			return nil, fmt.Errorf("list routes: %v", err)
		}
		for _, r := range routes {
			if r.Dst == nil {
				continue
			}
			if addr, ok := netip.AddrFromSlice(r.Dst.IP); ok {
				list = append(list, addr.Unmap())
			}
		}
	}
	return list, nil
}

func ours(vip netip.Addr) (*netlink.Route, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("look up lo: %v", err)
	}
	bits := vip.BitLen()
	return &netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: &net.IPNet{IP: vip.AsSlice(), Mask: net.CIDRMask(bits, bits)},
		Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST, Protocol: protocol, Priority: metric,
	}, nil
}

// addRoute implements kernel.
func (rtnetlink) addRoute(vip netip.Addr) error {
	r, err := ours(vip)
	if err != nil {
		return err
	}
	err = netlink.RouteAdd(r)
	switch {
	case err == nil, errors.Is(err, unix.EEXIST):
		return nil
	case errors.Is(err, unix.ENETDOWN):
		return errors.New("lo is down; \"ip link set lo up\"")
	}
	return fmt.Errorf("add a local route: %v", err)
}

// deleteRoute implements kernel.
func (rtnetlink) deleteRoute(vip netip.Addr) error {
	r, err := ours(vip)
	if err != nil {
		return err
	}
	if err := netlink.RouteDel(r); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("delete the local route for VIP %s: %v", vip, err)
	}
	return nil
}

// Indexes of IFLA_INET_CONF, linux/ip.h, with the least value that will do.
var silent = []struct {
	name  string
	index uint16
	least uint32
}{
	{"arp_announce", 18, 2},
	{"arp_ignore", 19, 1},
}

// silence implements kernel. It sets by netlink, for a hardened unit sees
// /proc/sys read-only. A greater value, also that of all interfaces, stands.
func (rtnetlink) silence(link string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("look up interface %q: %v", link, err)
	}
	for _, s := range silent {
		value, err := setting(link, s.name)
		if err != nil {
			return err
		}
		if value >= s.least {
			continue
		}
		if err := setInet(l.Attrs().Index, s.index, s.least); err != nil {
			return fmt.Errorf("set %s of %q to %d: %v", s.name, link, s.least, err)
		}
	}
	return nil
}

// setting is the one in force for an interface: its own or that of all.
func setting(link, name string) (uint32, error) {
	var most uint32
	for _, of := range []string{"all", link} {
		text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", of, name))
		if err != nil {
			return 0, fmt.Errorf("read sysctl: %v", err)
		}
		value, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil {
			return 0, fmt.Errorf("read sysctl %s of %q: %v", name, of, err)
		}
		most = max(most, uint32(value))
	}
	return most, nil
}

func setInet(link int, index uint16, value uint32) error {
	const iflaInetConf = 1 // linux/if_link.h
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil)
	conf.AddRtAttr(int(index), binary.NativeEndian.AppendUint32(nil, value))
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.AddData(msg)
	req.AddData(spec)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// watch tells when addresses or interfaces changed, until stop.
func watch() (changed <-chan struct{}, stop func(), err error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, nil, fmt.Errorf("watch addresses: %v", err)
	}
	c, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		known := leases{}
		for {
			messages, _, err := s.Receive()
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			// What was lost is made up for by looking at everything.
			if err == nil && known.renewals(messages) {
				continue
			}
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}()
	return c, func() { s.Close(); <-done }, nil
}
