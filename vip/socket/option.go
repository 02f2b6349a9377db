package socket

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Option is one setting of a socket, with its name for errors.
type Option struct {
	name string
	set  func(fd int) error
}

// Int is an option whose value is a number.
func Int(name string, level, option, value int) Option {
	return Option{name, func(fd int) error { return unix.SetsockoptInt(fd, level, option, value) }}
}

// Custom is an option that needs more than a number.
func Custom(name string, set func(fd int) error) Option { return Option{name, set} }

// classSelector6 is DSCP CS6, network control, as the byte of the IP header.
const classSelector6 = 0xc0

// priorityControl is TC_PRIO_CONTROL of linux/pkt_sched.h: queues send it first.
const priorityControl = 6

// ClassSelector6 is the byte with DSCP CS6 in an IPv4 or IPv6 header.
const ClassSelector6 = classSelector6

// Control marks what is sent as network control, for routers and for the queue
// of our own interface. A packet is never cut into fragments: EMSGSIZE instead.
func Control(domain int) []Option {
	// TOS sets the priority too, so the priority comes after it.
	if domain == unix.AF_INET {
		return []Option{
			Int("IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, classSelector6),
			Int("IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO),
			Priority(),
		}
	}
	return []Option{
		Int("IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, classSelector6),
		Int("IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO),
		Int("IPV6_DONTFRAG", unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1),
		Priority(),
	}
}

// Priority has our own interface send before it sends other traffic.
func Priority() Option { return Int("SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, priorityControl) }

// TTL is the TTL or hop limit of unicast packets, 1 to 255.
func TTL(domain, ttl int) Option {
	if domain == unix.AF_INET {
		return Int("IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, ttl)
	}
	return Int("IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
}

// Bound gives what is sent its source, and receives only what is sent to it.
// The address may come later than the socket.
func Bound(link Link, addr netip.AddrPort) []Option {
	freebind := Int("IP_FREEBIND", unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	if addr.Addr().Is6() {
		freebind = Int("IPV6_FREEBIND", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}
	bind := Custom("address "+addr.String(), func(fd int) error { return unix.Bind(fd, Sockaddr(link, addr)) })
	return []Option{freebind, bind}
}

// Received bounds the memory of what waits and has the kernel tell TTL,
// destination and interface. Only groups that this very socket joins are
// received.
func Received(domain int) []Option {
	options := []Option{Int("SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, ReceiveBuffer)}
	if domain == unix.AF_INET {
		return append(options,
			Int("IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0),
			Int("IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1),
			Int("IP_RECVTTL", unix.IPPROTO_IP, unix.IP_RECVTTL, 1))
	}
	return append(options,
		Int("IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0),
		Int("IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1),
		Int("IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1))
}

// toDevice ties a socket to the interface: nothing leaves or arrives by others.
// By index, since another interface may have taken the name meanwhile.
func toDevice(link Link) Option {
	return Int("SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, link.Index)
}

// Sockaddr is an address and port as the kernel takes it, on this interface.
func Sockaddr(link Link, to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if to.Addr().IsLinkLocalUnicast() || to.Addr().IsLinkLocalMulticast() {
		sa.ZoneId = uint32(link.Index)
	}
	return sa
}
