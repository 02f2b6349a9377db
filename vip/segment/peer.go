package segment

import (
	"errors"
	"fmt"
	"net/netip"
)

// PeerOf returns the other address of a pair that differs in its last bit: of
// 169.254.1.0 it is 169.254.1.1, and the other way round. The zone stays. The
// zero address has no peer: it is returned.
func PeerOf(addr netip.Addr) netip.Addr {
	switch {
	case addr.Is4():
		b := addr.As4()
		b[3] ^= 1
		return netip.AddrFrom4(b)
	case addr.Is6():
		b := addr.As16()
		b[15] ^= 1
		return netip.AddrFrom16(b).WithZone(addr.Zone())
	}
	return addr
}

// check finds what no interface could do.
func (o *HeartbeatOptions) check() error {
	if o.Receive == nil {
		return errors.New("nothing receives: Receive is missing")
	}
	if o.Addr.Addr().Unmap().IsUnspecified() {
		return fmt.Errorf("address %s: it would listen everywhere: give the address of this interface", o.Addr)
	}
	if err := o.checkPoint(o.Addr); err != nil {
		return fmt.Errorf("address %s: %w", o.Addr, err)
	}
	o.Addr = plain(o.Addr)
	if len(o.Peers) == 0 {
		return errors.New("no peer is given: nobody would be heard")
	}
	seen := map[netip.AddrPort]bool{o.Addr: true}
	for _, p := range o.Peers {
		if err := o.checkPoint(p); err != nil {
			return fmt.Errorf("peer %s: %w", p, err)
		}
		if seen[plain(p)] {
			return fmt.Errorf("peer %s: it is our own address, or a peer already", p)
		}
		seen[plain(p)] = true
	}
	return nil
}

func (o *HeartbeatOptions) checkPoint(at netip.AddrPort) error {
	addr, err := ofInterface(at.Addr(), o.Interface)
	if err != nil {
		return err
	}
	if at.Port() == 0 {
		return errors.New("port 0: give the one that all gateways use")
	}
	if familyOf(addr) != familyOf(o.Addr.Addr().Unmap()) {
		return fmt.Errorf("it is not of the family of %s", o.Addr)
	}
	return nil
}

// plain is an address and port without the zone, which is the interface.
func plain(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().WithZone("").Unmap(), at.Port())
}
