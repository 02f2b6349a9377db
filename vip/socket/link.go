package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/dump"
)

// Link is a network interface.
type Link struct {
	Name  string
	Index int
	MAC   net.HardwareAddr
	// Ethernet says that its frames have Ethernet headers.
	Ethernet bool
}

// FindLink returns the interface of that name.
func FindLink(name string) (Link, error) {
	if name == "" {
		return Link{}, errors.New("find interface: no name is given")
	}
	l, err := netlink.LinkByName(name)
	if missing(err) {
		return Link{}, fmt.Errorf("find interface %q: %w on this machine", name, unix.ENODEV)
	}
	if err != nil {
		return Link{}, fmt.Errorf("find interface %q: %w", name, err)
	}
	return linkOf(l), nil
}

func linkOf(l netlink.Link) Link {
	a := l.Attrs()
	return Link{Name: a.Name, Index: a.Index, MAC: a.HardwareAddr, Ethernet: a.EncapType == "ether"}
}

// missing says whether an answer means that there is no such link.
func missing(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// PrimaryAddr returns the interface's own address of a family, 4 or 6: its first
// IPv4 address that is not alone in its network, as a VIP is, if there is one,
// and for IPv6 its link-local address (RFC 9568 §5.1.1.1). Without one that can
// be used now the error is EADDRNOTAVAIL.
func PrimaryAddr(link Link, family int) (netip.Addr, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read the addresses of interface %q: %w", link.Name, err)
	}
	defer h.Close()
	addrs, err := usable(h, link, family)
	if err != nil {
		return netip.Addr{}, err
	}
	if found := pickPrimary(addrs); found.IsValid() {
		return found, nil
	}
	what := "IPv4 address"
	if family == 6 {
		what = "IPv6 link-local address"
	}
	return netip.Addr{}, fmt.Errorf("find the %s of interface %q: %w: add one, or wait until it can be used",
		what, link.Name, unix.EADDRNOTAVAIL)
}

// pickPrimary chooses among the usable addresses of one family, in the kernel's
// order.
func pickPrimary(addrs []netip.Prefix) netip.Addr {
	var alone netip.Addr
	for _, p := range addrs {
		switch addr := p.Addr(); {
		case addr.Is6() && !addr.IsLinkLocalUnicast():
		case !p.IsSingleIP():
			return addr
		case !alone.IsValid():
			alone = addr
		}
	}
	return alone
}

// usable returns the interface's addresses of a family, 4 or 6, that packets can
// be sent from.
func usable(h *netlink.Handle, link Link, family int) ([]netip.Prefix, error) {
	kernel := netlink.FAMILY_V4
	if family == 6 {
		kernel = netlink.FAMILY_V6
	}
	index := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: link.Index, Name: link.Name}}
	list, err := dump.Whole(func() ([]netlink.Addr, error) { return h.AddrList(index, kernel) })
	if err != nil {
		return nil, fmt.Errorf("read the addresses of interface %q: %w", link.Name, err)
	}
	var addrs []netip.Prefix
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if ok && usableFlags(family, uint32(a.Flags)) {
			addrs = append(addrs, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return addrs, nil
}

// usableFlags says whether an address with the kernel's flags can be a source.
// To IPv4 the same bits mean something else, and none of them is in the way.
func usableFlags(family int, flags uint32) bool {
	return family == 4 || flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
}
