package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dial connects to a target by the way its flows take, from the network
// namespace of the calling thread.
func dial(ctx context.Context, t Target) (net.Conn, error) {
	if t.Local {
		if err := endsHere(t.Dial.Addr()); err != nil {
			return nil, err
		}
		return dialFrom(ctx, t.Dial, netip.Addr{}, "")
	}
	if t.linked() {
		// Frames of this node for the backend's VIP must bear an address that
		// the backend can answer to, which is not one of the check link.
		source, err := sourceTowards(t)
		if err != nil {
			return nil, err
		}
		return dialFrom(ctx, t.Dial, source, stackEnd)
	}
	for _, source := range t.Sources {
		if source.Is4() != t.Dial.Addr().Is4() {
			continue
		}
		conn, err := dialFrom(ctx, t.Dial, source, "")
		if notHere(err) {
			continue // another gateway has it just now
		}
		return conn, err
	}
	return dialFrom(ctx, t.Dial, netip.Addr{}, "")
}

// endsHere looks whether packets for addr end on this node.
func endsHere(addr netip.Addr) error {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil {
		return fmt.Errorf("look up the route to %s: %v", addr, err)
	}
	if len(routes) == 0 || routes[0].Type != unix.RTN_LOCAL {
		return fmt.Errorf("%s does not end on this node; it has no local route for it", addr)
	}
	return nil
}

// dialFrom connects to addr, from source and by the interface if they are
// given.
func dialFrom(ctx context.Context, addr netip.AddrPort, source netip.Addr, ifname string) (net.Conn, error) {
	d := net.Dialer{
		KeepAlive: -1, // the connection lives for milliseconds
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) { err = prepare(int(fd), source, ifname) }); e != nil {
				return e
			}
			return err
		},
	}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return d.DialContext(ctx, "tcp", addr.String())
}

// prepare sets a socket up before it is bound.
func prepare(fd int, source netip.Addr, ifname string) error {
	if source.IsValid() && ifname == "" {
		// The port is chosen while connecting, when the other end is known:
		// else an address could make no more than one connection per port, to
		// whomever, with a minute's wait after each. It comes from
		// ip_local_port_range, outside which XDP takes those of flows.
		//
		// Over the check link it must be chosen now. The stack would use one
		// port towards two check addresses at once; behind XDP both are the same
		// VIP, and an answer could belong to either.
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return os.NewSyscallError("setsockopt IP_BIND_ADDRESS_NO_PORT", err)
		}
	}
	if ifname != "" {
		// Rules like "from ADDRESS lookup TABLE" would lead elsewhere, and only
		// answers that XDP turned back may be heard.
		if err := unix.BindToDevice(fd, ifname); err != nil {
			return os.NewSyscallError("setsockopt SO_BINDTODEVICE", err)
		}
	}
	return nil
}

// notHere says that the source address is not one of this node.
func notHere(err error) bool {
	var sys *os.SyscallError
	return errors.As(err, &sys) && sys.Syscall == "bind" && errors.Is(sys.Err, unix.EADDRNOTAVAIL)
}

// sourceTowards is the address the routing table puts on packets to a target's
// backend, or where that is to be avoided, or is not of the family that is
// dialled, another one of the same interface. Where that has none, as where only
// the outer header is of the backend's family, any other has to do.
func sourceTowards(t Target) (netip.Addr, error) {
	source, err := routeSource(t.Backend)
	if err != nil {
		return netip.Addr{}, err
	}
	fits := func(a netip.Addr) bool {
		return a.Is4() == t.Dial.Addr().Is4() && a.IsGlobalUnicast() && !slices.Contains(t.Avoid, a)
	}
	if fits(source) {
		return source, nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, err
	}
	var elsewhere netip.Addr
	for _, i := range interfaces {
		own, err := addresses(i)
		if err != nil {
			return netip.Addr{}, err
		}
		at := slices.IndexFunc(own, fits)
		if at < 0 || i.Name == stackEnd {
			continue
		}
		if slices.Contains(own, source) {
			return own[at], nil
		}
		if !elsewhere.IsValid() {
			elsewhere = own[at]
		}
	}
	if elsewhere.IsValid() && source.Is4() != t.Dial.Addr().Is4() {
		return elsewhere, nil
	}
	if source.Is4() != t.Dial.Addr().Is4() {
		return netip.Addr{}, fmt.Errorf("this node has no address of the VIP's family that %s could answer to; give it one", t.Backend.Addr())
	}
	return netip.Addr{}, fmt.Errorf("this node has no address towards %s but the VIP %s; give the interface one of its own", t.Backend.Addr(), source)
}

// routeSource asks the routing table. Connecting a datagram socket does so and
// sends nothing.
func routeSource(addr netip.AddrPort) (netip.Addr, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

func addresses(i net.Interface) ([]netip.Addr, error) {
	list, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out, nil
}
