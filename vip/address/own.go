package address

import (
	"fmt"
	"net/netip"
)

// Own returns the addresses of an interface with the lengths of their networks,
// without those that a virtual cluster put there: what says which networks the
// interface is in. A kernel before 5.18 does not tell the latter from others;
// they are single addresses, of which no network can be told.
func Own(name string) ([]netip.Prefix, error) {
	sc, err := lookAt([]place{{parent: name, name: name}})
	if err != nil {
		return nil, err
	}
	l, found := sc.named(name)
	if !found {
		return nil, fmt.Errorf("list the addresses of %q: %v", name, missing(name))
	}
	return sc.own(l.index), nil
}

func (sc *scene) own(index int) []netip.Prefix {
	var list []netip.Prefix
	for _, a := range sc.on(index) {
		if a.proto != mark {
			list = append(list, a.prefix)
		}
	}
	return list
}
