package nexthop

import (
	"fmt"
	"net"
)

// path is the way from the interface that the routing table names down to the
// one that carries XDP.
type path struct {
	name    string // of the routing table's interface
	carrier int
	below   string // name of the carrier
	source  net.HardwareAddr
	vlan    uint16
	mtu     uint16
}

// maxStack bounds how many interfaces may lie on each other. Three exist in
// practice: a macvlan on a VLAN on a bond.
const maxStack = 4

// descend follows index down to the interface that can carry XDP. A VLAN adds
// its tag and a macvlan its MAC; a bond stays itself, for the bonding driver
// sends XDP frames by the right port. The error says what is in the way.
func descend(links *links, index int) (path, error) {
	l, err := links.at(index)
	if err != nil {
		return path{}, err
	}
	p := path{name: l.name, source: l.mac, mtu: clampMTU(l.mtu)}
	for range maxStack {
		switch {
		case !l.up:
			return path{}, fmt.Errorf("interface %q is down", l.name)
		case len(l.mac) != macLength:
			return path{}, fmt.Errorf("interface %q (%s) has no Ethernet address, so XDP cannot send by it", l.name, l.kind)
		case !stacked(l.kind):
			p.carrier, p.below = l.index, l.name
			return p, nil
		case l.abroad || l.parent == 0:
			return path{}, fmt.Errorf("interface %q (%s) lies on one of another namespace", l.name, l.kind)
		case l.vlan != 0 && p.vlan != 0:
			return path{}, fmt.Errorf("interface %q puts a second VLAN tag on, which is not supported", p.name)
		case l.vlan != 0:
			p.vlan = l.vlan
		}
		if l, err = links.at(l.parent); err != nil {
			return path{}, err
		}
	}
	return path{}, fmt.Errorf("interface %q lies on more than %d others", p.name, maxStack-1)
}

// links remembers what the kernel said about interfaces until one changes: the
// paths of thousands of neighbours lead over the same few.
type links struct {
	kernel kernel
	known  map[int]link
}

func newLinks(k kernel) *links { return &links{kernel: k, known: make(map[int]link)} }

func (s *links) at(index int) (link, error) {
	if l, ok := s.known[index]; ok {
		return l, nil
	}
	l, err := s.kernel.link(index)
	if err == nil {
		s.known[index] = l
	}
	return l, err
}

// forget drops one interface and says whether anybody had asked for it.
func (s *links) forget(index int) bool {
	_, asked := s.known[index]
	delete(s.known, index)
	return asked
}

func (s *links) forgetAll() { clear(s.known) }

// stacked says that frames of this kind of interface leave by its parent.
func stacked(kind string) bool {
	return kind == "vlan" || kind == "macvlan" || kind == "ipvlan"
}

// clampMTU fits an MTU into the table; lo and friends have 65536.
func clampMTU(mtu int) uint16 { return uint16(min(max(mtu, 0), 0xffff)) }
