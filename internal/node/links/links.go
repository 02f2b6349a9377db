// Package links finds the interfaces that the XDP programs must be on: where
// packets for a VIP arrive, and where packets to backends leave and their
// replies arrive.
package links

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/internal/config"
)

// Link is one network interface.
type Link struct {
	Index int
	Name  string
	// Kind is the kernel's word for what it is, such as "macvlan", "dummy" or
	// "device".
	Kind string
	// Parent is the index of the link below, 0 for none.
	Parent int
	// Master is the index of the link that this one is a port of, 0 for none.
	Master int
	// VLAN is the tag that a link of kind "vlan" adds.
	VLAN uint16
	// Bond says what of a bond stands against native XDP, "" if nothing.
	Bond string
	// NoEthernet marks links whose packets have no Ethernet header.
	NoEthernet bool
	// Loopback marks lo.
	Loopback bool
	// Addrs are its addresses with the length of their networks.
	Addrs []netip.Prefix
}

// inner says that no packet arrives from outside here.
func (l Link) inner() bool { return l.Loopback || l.Kind == "dummy" }

// Kernel is what is asked of the machine.
type Kernel interface {
	// Links returns all interfaces with their addresses.
	Links() ([]Link, error)
	// Routes returns the indexes of the interfaces that packets to an address
	// may leave by; several where a route has several ways, none where there
	// is no route.
	Routes(to netip.Addr) ([]int, error)
}

// Selection is the outcome of Select.
type Selection struct {
	// Names are the interfaces, each once, in the order of the settings or of
	// their index.
	Names []string
	// Warnings are what could not be found out, one line each.
	Warnings []string
}

// Select returns the interfaces for the settings: those that
// dataplane.interfaces names, or, where it names none, those that hold a VIP
// or lead to it and those that lead to backends. A VLAN or macvlan stands for
// its parent: none of them can carry native XDP itself. A bond stands for
// itself: its driver has XDP on each port.
//
// An interface that is named and missing, a backend that is this very node,
// settings for which no interface is found, and interfaces by which the program
// cannot steer, are errors.
func Select(k Kernel, s *config.Settings) (Selection, error) {
	list, err := k.Links()
	if err != nil {
		return Selection{}, fmt.Errorf("select interfaces: %v", err)
	}
	f := finder{kernel: k, xdp: s.Dataplane.XDP, links: make(map[int]Link), picked: make(map[int]bool)}
	for _, l := range list {
		f.links[l.Index] = l
	}
	if err := f.refuseLocalBackends(s); err != nil {
		return Selection{}, err
	}
	named := len(s.Dataplane.Interfaces) > 0
	for _, service := range s.Services {
		if err := f.addService(service, named); err != nil {
			return Selection{}, fmt.Errorf("select interfaces: %v", err)
		}
	}
	if named {
		return f.named(s.Dataplane.Interfaces)
	}
	names := f.names()
	if len(names) == 0 && len(s.Services) > 0 {
		return Selection{}, fmt.Errorf("select interfaces: none holds a VIP or leads to a backend: name them in dataplane.interfaces")
	}
	return Selection{Names: names, Warnings: f.warnings}, nil
}

// finder collects interfaces.
type finder struct {
	kernel   Kernel
	xdp      config.XDPMode
	links    map[int]Link
	picked   map[int]bool
	warnings []string
}

// named resolves what the settings name.
func (f *finder) named(names []string) (Selection, error) {
	var selection Selection
	var missing []string
	for _, name := range names {
		link, found := f.byName(name)
		if !found {
			missing = append(missing, fmt.Sprintf("%q", name))
			continue
		}
		carrier := Carrier(f.links, link)
		if err := f.refuseShape(link, carrier); err != nil {
			return Selection{}, fmt.Errorf("select interfaces: dataplane.interfaces: %v", err)
		}
		if !slices.Contains(selection.Names, carrier.Name) {
			selection.Names = append(selection.Names, carrier.Name)
		}
	}
	if missing != nil {
		return Selection{}, fmt.Errorf("select interfaces: dataplane.interfaces: no interface %s on this machine: there are %s",
			strings.Join(missing, ", "), strings.Join(f.all(), ", "))
	}
	return selection, nil
}

// addService looks at one service and picks for it where nothing is named. A
// backend without a route is no error: at boot routes may come after us.
func (f *finder) addService(s config.Service, named bool) error {
	from, sure, err := f.vipWays(s.Listen.Addr())
	if err != nil {
		return err
	}
	if err := f.refuseTags(s, from, sure); err != nil || named {
		return err
	}
	if len(from) == 0 {
		f.warnings = append(f.warnings, fmt.Sprintf("service %q: no interface holds %s or has a default route: where clients come from is not known", s.Name, s.Listen.Addr()))
	}
	if err := f.pick(from); err != nil {
		return err
	}
	for _, b := range s.Backends {
		if b.Local {
			continue
		}
		ways, err := f.kernel.Routes(b.Addr.Addr())
		if err != nil {
			return err
		}
		if len(ways) == 0 {
			f.warnings = append(f.warnings, fmt.Sprintf("service %q: no route to backend %q (%s): its interface is not known", s.Name, b.Name, b.Addr))
		}
		if err := f.pick(ways); err != nil {
			return err
		}
	}
	return nil
}

// vipWays are where clients come from: who holds the VIP, else who is in its
// network, else, not surely, the way out to everybody. A VIP on lo or a dummy, as
// with routed VIPs, is held by no interface that packets arrive at.
func (f *finder) vipWays(vip netip.Addr) (ways []int, sure bool, err error) {
	holds := func(p netip.Prefix) bool { return p.Addr() == vip }
	contains := func(p netip.Prefix) bool { return p.Contains(vip) }
	for _, match := range []func(netip.Prefix) bool{holds, contains} {
		if found := f.matching(match); len(found) > 0 {
			return found, true, nil
		}
	}
	ways, err = f.kernel.Routes(everybody(vip))
	return ways, false, err
}

// everybody is an address that only a default route leads to: it is of the
// networks kept for documentation.
func everybody(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.AddrFrom4([4]byte{203, 0, 113, 1})
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1})
}

func (f *finder) matching(match func(netip.Prefix) bool) []int {
	var found []int
	for index, l := range f.links {
		if !l.inner() && slices.ContainsFunc(l.Addrs, match) {
			found = append(found, index)
		}
	}
	slices.Sort(found)
	return found
}

// pick takes interfaces, or what carries them. Those that no packet arrives at
// would only make the attachment fail.
func (f *finder) pick(indexes []int) error {
	for _, index := range indexes {
		l, known := f.links[index]
		if !known || l.inner() {
			continue
		}
		carrier := Carrier(f.links, l)
		if err := f.refuseShape(l, carrier); err != nil {
			return err
		}
		f.picked[carrier.Index] = true
	}
	return nil
}

// stacked says that frames of this kind of link come and go by its parent.
func stacked(kind string) bool {
	return kind == "vlan" || kind == "macvlan" || kind == "ipvlan"
}

// Carrier returns the link that frames of l come and go by: l itself, or the
// lowest below a VLAN or macvlan.
func Carrier(byIndex map[int]Link, l Link) Link {
	for range len(byIndex) { // a bound, should the kernel tell of a circle
		parent, known := byIndex[l.Parent]
		if !stacked(l.Kind) || !known {
			break
		}
		l = parent
	}
	return l
}

func (f *finder) names() []string {
	indexes := make([]int, 0, len(f.picked))
	for index := range f.picked {
		indexes = append(indexes, index)
	}
	slices.Sort(indexes)
	names := make([]string, 0, len(indexes))
	for _, index := range indexes {
		names = append(names, f.links[index].Name)
	}
	return names
}

// refuseLocalBackends finds the backend that XDP can never reach: packets to
// an address of this node do not arrive at an interface again.
func (f *finder) refuseLocalBackends(s *config.Settings) error {
	for _, service := range s.Services {
		for _, b := range service.Backends {
			if b.Local {
				continue
			}
			for _, l := range f.links {
				if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == b.Addr.Addr() }) {
					if service.Spread() {
						return fmt.Errorf("service %q: node %q (%s) is an address of this node, on %s: set node.name, or correct the addresses in nodes",
							service.Name, b.Name, b.Addr, l.Name)
					}
					return fmt.Errorf("service %q: backend %q (%s) is an address of this node, on %s: name another machine; XDP never sees packets to its own",
						service.Name, b.Name, b.Addr, l.Name)
				}
			}
		}
	}
	return nil
}

func (f *finder) byName(name string) (Link, bool) {
	for _, l := range f.links {
		if l.Name == name {
			return l, true
		}
	}
	return Link{}, false
}

// all are the names of all interfaces but lo.
func (f *finder) all() []string {
	var names []string
	for _, l := range f.links {
		if !l.Loopback {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return names
}
