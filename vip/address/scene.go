package address

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// scene is what the machine has at one moment.
type scene struct {
	links []link
	addrs []lying
}

// look reads everything.
func look() (*scene, error) {
	links, err := allLinks()
	addrs, err2 := allAddrs()
	return &scene{links, addrs}, errors.Join(err, err2)
}

// lookAt reads what a set needs in its daily round.
func lookAt(list []place) (*scene, error) {
	var names []string
	for _, p := range list {
		for _, name := range []string{p.parent, p.name} {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	links, err := linksNamed(names)
	addrs, err2 := allAddrs()
	return &scene{links, addrs}, errors.Join(err, err2)
}

// named returns the interface with the name.
func (sc *scene) named(name string) (link, bool) {
	return sc.find(func(l link) bool { return l.name == name })
}

// indexed returns the interface with the index.
func (sc *scene) indexed(index int) (link, bool) {
	return sc.find(func(l link) bool { return l.index == index })
}

func (sc *scene) find(match func(link) bool) (link, bool) {
	if i := slices.IndexFunc(sc.links, match); i >= 0 {
		return sc.links[i], true
	}
	return link{}, false
}

// on lists the addresses of one interface.
func (sc *scene) on(index int) []lying {
	var list []lying
	for _, a := range sc.addrs {
		if a.index == index {
			list = append(list, a)
		}
	}
	return list
}

// has says whether an interface has a single address.
func (sc *scene) has(index int, addr netip.Addr) bool {
	return slices.ContainsFunc(sc.addrs, func(a lying) bool {
		return a.index == index && a.prefix == netip.PrefixFrom(addr, addr.BitLen())
	})
}

// marks says whether this kernel keeps who made an address: its own are marked
// then, those of lo and the link-local ones.
func (sc *scene) marks() bool {
	return slices.ContainsFunc(sc.addrs, func(a lying) bool { return a.proto != 0 })
}

// leased says whether an address that equals a VIP was put there by us. Where
// the kernel keeps no marks, its shape has to do.
func (sc *scene) leased(a lying) bool {
	if !a.prefix.IsSingleIP() || a.flags&unix.IFA_F_NOPREFIXROUTE == 0 {
		return false
	}
	return a.proto == mark || !sc.marks()
}

// macvlan returns the interface of a place if it is as it should be.
func (sc *scene) macvlan(p *place, parent link) (link, bool) {
	l, found := sc.named(p.name)
	below := parent.index
	if parent.kind == "macvlan" {
		// The kernel puts a macvlan of a macvlan above what that one is above.
		below = parent.parent
	}
	return l, found && l.parent == below && l.bridged && slices.Equal(l.mac, p.mac) && strings.HasPrefix(l.alias, aliasWords)
}
