package address

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// check reports every fault of a plan that can be told without the machine.
func (p *Plan) check() error {
	var errs []error
	if p.Cluster == "" || strings.ContainsFunc(p.Cluster, func(r rune) bool { return r < ' ' }) || len(aliasOf(p.Cluster)) > maxAlias {
		errs = append(errs, fmt.Errorf("virtual cluster %q: its name must be 1 to %d bytes of text", p.Cluster, maxAlias-len(aliasOf(""))))
	}
	if p.VRID < 1 || p.VRID > 255 {
		errs = append(errs, fmt.Errorf("virtual cluster %q: VRID %d is not 1 to 255", p.Cluster, p.VRID))
	}
	if p.Lease < 0 || p.Lease > math.MaxInt32*time.Second {
		errs = append(errs, fmt.Errorf("virtual cluster %q: a lease of %v is not 0 or up to 68 years", p.Cluster, p.Lease))
	}
	for i, v := range p.VIPs {
		if err := v.check(); err != nil {
			errs = append(errs, fmt.Errorf("virtual cluster %q: %v", p.Cluster, err))
		}
		for _, other := range p.VIPs[:i] {
			if v.Addr.IsValid() && v.clashes(other) {
				errs = append(errs, fmt.Errorf("virtual cluster %q: %v is there twice; take one away", p.Cluster, v))
			}
		}
	}
	return errors.Join(errs...)
}

func (v VIP) check() error {
	addr := v.Addr.Addr()
	switch {
	case !v.Addr.IsValid() || addr.Zone() != "" || addr.Is4In6():
		return fmt.Errorf("VIP %q on %q is not an IPv4 or IPv6 prefix", v.Addr, v.Interface)
	case addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%v cannot be an interface's address", v)
	case v.Interface == "" || len(v.Interface) > maxName || strings.ContainsAny(v.Interface, "/ "):
		return fmt.Errorf("%v: the interface's name must be 1 to %d bytes without \"/\" and spaces", v, maxName)
	case v.MAC != nil && (len(v.MAC) != 6 || v.MAC[0]&1 != 0 || slices.Equal(v.MAC, make(net.HardwareAddr, 6))):
		return fmt.Errorf("%v: virtual MAC %q is not the address of one Ethernet card", v, v.MAC)
	}
	return nil
}

// clashes says whether two VIPs are one address in one place. A link-local
// address may be had once on each interface.
func (v VIP) clashes(other VIP) bool {
	return v.Addr.Addr() == other.Addr.Addr() &&
		(v.Interface == other.Interface || !v.Addr.Addr().IsLinkLocalUnicast() || v.Addr.Addr().Is4())
}

// seconds is the lease as the kernel counts it.
func (p *Plan) seconds() uint32 {
	if p.Lease == 0 {
		return forever
	}
	return uint32((p.Lease + time.Second - 1) / time.Second)
}
