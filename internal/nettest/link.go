package nettest

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// Veth joins two namespaces by a veth pair and brings both ends up. What either
// end sends are finished packets as they would be on a wire, see
// [Namespace.Wirelike].
func Veth(a *Namespace, nameA string, b *Namespace, nameB string) error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: nameA},
		PeerName:  nameB,
		// The far end is made where it belongs: no moment in between when it is
		// the host's.
		PeerNamespace: netlink.NsFd(b.file.Fd()),
	}
	if err := a.nl.LinkAdd(pair); err != nil {
		return fmt.Errorf("make veth %q in %q to %q in %q: %v", nameA, a.name, nameB, b.name, err)
	}
	return errors.Join(
		a.Wirelike(nameA), b.Wirelike(nameB),
		a.Up(nameA), b.Up(nameB))
}

// Bridge makes a bridge that forwards from the start (no spanning tree) and
// floods multicast (no snooping, which would eat neighbour solicitations before
// it has learnt), and brings it up.
func (n *Namespace) Bridge(name string) error {
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &snooping}
	if err := n.nl.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make bridge %q in namespace %q: %v", name, n.name, err)
	}
	return n.Up(name)
}

// Plug makes link a port of a bridge.
func (n *Namespace) Plug(bridge, link string) error {
	return n.onLink(link, "plug into bridge "+bridge, func(port netlink.Link) error {
		master, err := n.nl.LinkByName(bridge)
		if err != nil {
			return err
		}
		return n.nl.LinkSetMaster(port, master)
	})
}

// Up brings a link up.
func (n *Namespace) Up(link string) error {
	return n.onLink(link, "bring up", n.nl.LinkSetUp)
}

// Down takes a link down: its far end loses the carrier, and the kernel forgets
// the routes over it.
func (n *Namespace) Down(link string) error {
	return n.onLink(link, "take down", n.nl.LinkSetDown)
}

// SetMTU sets the largest IP packet the link takes, in bytes. The two ends of a
// veth pair are set one by one.
func (n *Namespace) SetMTU(link string, mtu int) error {
	return n.onLink(link, "set mtu", func(l netlink.Link) error { return n.nl.LinkSetMTU(l, mtu) })
}

// MAC returns a link's hardware address.
func (n *Namespace) MAC(link string) (net.HardwareAddr, error) {
	var mac net.HardwareAddr
	err := n.onLink(link, "read address", func(l netlink.Link) error {
		mac = l.Attrs().HardwareAddr
		return nil
	})
	return mac, err
}

// Index returns a link's interface index, which is unique in its namespace only.
func (n *Namespace) Index(link string) (int, error) {
	index := 0
	err := n.onLink(link, "read index", func(l netlink.Link) error {
		index = l.Attrs().Index
		return nil
	})
	return index, err
}

// onLink looks a link up by name and names it in the error.
func (n *Namespace) onLink(name, verb string, fn func(netlink.Link) error) error {
	link, err := n.nl.LinkByName(name)
	if err == nil {
		err = fn(link)
	}
	if err != nil {
		return fmt.Errorf("%s link %q in namespace %q: %v", verb, name, n.name, err)
	}
	return nil
}
