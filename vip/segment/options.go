package segment

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Options say where adverts go and come from.
type Options struct {
	// Interface is the physical interface's name.
	Interface string
	// Family is 4 or 6.
	Family int
	// Source is the address that adverts are sent from; zero is the interface's
	// primary address, for IPv6 its link-local one.
	Source netip.Addr
	// MAC is the source of frames to the group: the virtual MAC, from which
	// switches learn where it is. nil is the interface's own. What goes to
	// peers has always the interface's own.
	//
	// A machine with a macvlan of the same MAC in private mode hears such frames on
	// that macvlan alone. keepalived's (2.2.7, use_vmac) is one, and with
	// vmac_xmit_base it listens on the physical interface: it does not hear us, and
	// becomes active beside us.
	MAC net.HardwareAddr
	// Peers are the other gateways. With any, adverts are sent to each of them
	// and heard from them alone; with none, the group is used.
	Peers []netip.Addr
	// TTL is what adverts are sent with, 1 to 255; 0 is 255, as VRRP wants.
	TTL int
	// Receive is handed each packet, one after the other. While it runs,
	// others wait in a buffer of bounded size, beyond which they are lost.
	Receive func(Packet)
}

// protocol is VRRP's IP protocol number.
const protocol = 112

// group is VRRP's multicast group of a family.
func group(family int) netip.Addr {
	if family == 4 {
		return netip.AddrFrom4([4]byte{224, 0, 0, 18})
	}
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
}

// check finds what no interface could do, and fills what is left out.
func (o *Options) check() error {
	if o.Family != 4 && o.Family != 6 {
		return fmt.Errorf("address family %d: want 4 or 6", o.Family)
	}
	if o.Receive == nil {
		return errors.New("nothing receives: Receive is missing")
	}
	if o.TTL == 0 {
		o.TTL = 255
	}
	if o.TTL < 1 || o.TTL > 255 {
		return fmt.Errorf("TTL %d: want 1 to 255", o.TTL)
	}
	if o.MAC != nil && (len(o.MAC) != 6 || o.MAC[0]&1 != 0) {
		return fmt.Errorf("MAC %s: want one of 6 bytes that is no group's", o.MAC)
	}
	return o.checkAddrs()
}

func (o *Options) checkAddrs() error {
	if o.Source.IsValid() {
		addr, err := ofInterface(o.Source, o.Interface)
		if err != nil || familyOf(addr) != o.Family {
			return errors.Join(fmt.Errorf("source %s: want an IPv%d unicast address", o.Source, o.Family), err)
		}
		o.Source = addr
	}
	seen := make(map[netip.Addr]bool)
	peers := make([]netip.Addr, 0, len(o.Peers))
	for _, p := range o.Peers {
		addr, err := ofInterface(p, o.Interface)
		if err != nil || familyOf(addr) != o.Family {
			return errors.Join(fmt.Errorf("peer %s: want an IPv%d unicast address", p, o.Family), err)
		}
		if addr == o.Source || seen[addr] {
			return fmt.Errorf("peer %s: it is our own address, or a peer already", p)
		}
		seen[addr] = true
		peers = append(peers, addr)
	}
	o.Peers = peers
	return nil
}

// ofInterface returns a unicast address without its zone, which may only name
// the interface itself.
func ofInterface(addr netip.Addr, name string) (netip.Addr, error) {
	if zone := addr.Zone(); zone != "" && zone != name {
		return addr, fmt.Errorf("address %s is of interface %q, not of %q", addr, zone, name)
	}
	addr = addr.WithZone("").Unmap()
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return addr, fmt.Errorf("address %s is not one machine's", strings.TrimSpace(addr.String()))
	}
	return addr, nil
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}
