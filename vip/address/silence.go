package address

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// virtual is what the macvlan needs besides. The way back to clients names the
// physical interface: a strict rp_filter would drop what they send, and
// arp_filter would not answer them. Nothing may be sent that was not asked for,
// nor an address be made of a router's word.
var virtual = []setting{
	{"ipv4", "rp_filter", 2, 8, 2},
	{"ipv4", "arp_filter", 0, 13, 0},
	{"ipv6", "accept_dad", 0, 0, alone},
	{"ipv6", "accept_ra", 0, 0, alone},
	{"ipv6", "autoconf", 0, 0, alone},
}

// enabled lets a macvlan have IPv6 VIPs where new interfaces have none.
var enabled = setting{"ipv6", "disable_ipv6", 0, 0, alone}

// silence sets a macvlan up to send nothing of its own accord. It must be down.
func silence(l link, six bool) error {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE, linux/if_link.h
	// A kernel without IPv6 has no address to make.
	if err := netlink.LinkSetIP6AddrGenMode(at(l.index), none); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("have %q make no IPv6 address of its own: %v", l.name, err)
	}
	list := slices.Concat(quiet, virtual)
	if six {
		list = append(list, enabled)
	}
	for _, s := range list {
		if _, err := s.set(l); err != nil {
			return err
		}
	}
	return nil
}
