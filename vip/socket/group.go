package socket

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Join makes the socket a member of a multicast group on the interface. The
// kernel keeps the membership while the link is down.
func Join(link Link, group netip.Addr) Option { return member("join", link, group, true) }

// Rejoin renews a membership that the kernel may have lost with the interface's
// IP configuration, as happens when its MTU is too small for IP for a while.
func (s *Socket) Rejoin(group netip.Addr) error {
	err := s.Set(member("leave", s.link, group, false))
	// The socket was no member; so nothing needs leaving.
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return s.Set(Join(s.link, group))
}

func member(verb string, link Link, group netip.Addr, join bool) Option {
	return Custom(verb+" "+group.String(), func(fd int) error {
		if group.Is4() {
			option := unix.IP_DROP_MEMBERSHIP
			if join {
				option = unix.IP_ADD_MEMBERSHIP
			}
			return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, option,
				&unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(link.Index)})
		}
		option := unix.IPV6_LEAVE_GROUP
		if join {
			option = unix.IPV6_JOIN_GROUP
		}
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, option,
			&unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(link.Index)})
	})
}
