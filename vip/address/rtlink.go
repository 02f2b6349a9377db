package address

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/dump"
)

// mode is that of our macvlans. In private mode the kernel keeps what comes from
// our own virtual MAC away from the physical interface: two gateways that are
// both active would not hear each other's adverts there, and remain so.
const mode = netlink.MACVLAN_MODE_BRIDGE

// link is what matters here of a network interface.
type link struct {
	index, parent int
	name, kind    string
	alias         string
	mac           net.HardwareAddr
	up, carrier   bool
	loopback      bool
	bridged       bool
}

func linkOf(l netlink.Link) link {
	a := l.Attrs()
	made := link{
		index: a.Index, parent: a.ParentIndex, name: a.Name, kind: l.Type(), alias: a.Alias, mac: a.HardwareAddr,
		up: a.RawFlags&unix.IFF_UP != 0, carrier: a.RawFlags&unix.IFF_LOWER_UP != 0, loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
	}
	if m, ok := l.(*netlink.Macvlan); ok {
		made.bridged = m.Mode == mode
	}
	return made
}

// allLinks lists the interfaces of the namespace.
func allLinks() ([]link, error) {
	raw, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %v", err)
	}
	list := make([]link, len(raw))
	for i, l := range raw {
		list[i] = linkOf(l)
	}
	return list, nil
}

// linksNamed looks up interfaces one by one, which is cheaper than a list where
// a machine has thousands. What does not exist is left out.
func linksNamed(names []string) ([]link, error) {
	list := make([]link, 0, len(names))
	for _, name := range names {
		l, err := netlink.LinkByName(name)
		if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look up interface %q: %v", name, err)
		}
		list = append(list, linkOf(l))
	}
	return list, nil
}

// makeMacvlan makes the interface of a place; it is down.
func makeMacvlan(p *place, parent link, cluster string) (link, error) {
	err := netlink.LinkAdd(&netlink.Macvlan{
		LinkAttrs: netlink.LinkAttrs{Name: p.name, ParentIndex: parent.index, HardwareAddr: p.mac},
		Mode:      mode,
	})
	if err != nil {
		return link{}, fmt.Errorf("make a macvlan with virtual MAC %s on %q: %v; set \"virtual_mac: off\" for virtual cluster %q, "+
			"or name an interface that can have one", p.mac, p.parent, err, cluster)
	}
	made, err := linksNamed([]string{p.name})
	if err == nil && len(made) == 0 {
		err = errors.New("it is gone again")
	}
	if err == nil {
		err = errors.Join(netlink.LinkSetAlias(at(made[0].index), aliasOf(cluster)))
	}
	if err != nil {
		return link{}, fmt.Errorf("name macvlan %q of %q: %v", p.name, p.parent, err)
	}
	return made[0], nil
}

// at stands for an interface known by its index.
func at(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

func raise(l link) error {
	if err := netlink.LinkSetUp(at(l.index)); err != nil {
		why := ""
		if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EBUSY) {
			why = "; another interface above the same one has its MAC: \"ip -d link\" shows which"
		}
		return fmt.Errorf("bring up %q: %v%s", l.name, err, why)
	}
	return nil
}

func lower(l link) error {
	if err := netlink.LinkSetDown(at(l.index)); err != nil && !gone(err) {
		return fmt.Errorf("take down %q: %v", l.name, err)
	}
	return nil
}

func deleteLink(l link) error {
	if err := netlink.LinkDel(at(l.index)); err != nil && !gone(err) {
		return fmt.Errorf("remove %q: %v", l.name, err)
	}
	return nil
}

// gone says that what was to be changed does not exist any more.
func gone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ESRCH)
}
