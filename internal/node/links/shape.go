package links

import (
	"fmt"

	"sluice/internal/config"
)

// refuseShape says why the program cannot work on the way of frames of l, and
// which way it can. carrier is what they come and go by.
func (f *finder) refuseShape(l, carrier Link) error {
	if _, err := f.tag(l); err != nil {
		return err
	}
	if !carrier.Loopback && carrier.NoEthernet {
		return fmt.Errorf("interface %q (%s) carries no Ethernet frames, which the XDP program is for: name interfaces that do in dataplane.interfaces, and reach backends beyond a tunnel by mode ipip or gue", carrier.Name, carrier.Kind)
	}
	if master, known := f.links[carrier.Master]; known && (grouped(master.Kind) || master.Kind == "bridge") {
		return fmt.Errorf("interface %q is a port of %q (%s), which sends and gets its frames: use that in its place", carrier.Name, master.Name, master.Kind)
	}
	if f.xdp != config.XDPNative {
		return nil // generic XDP runs on all of these
	}
	switch {
	case carrier.Kind == "team" || carrier.Kind == "bridge":
		return fmt.Errorf("interface %q is a %s, on which native XDP cannot run: make it a bond (active-backup, 802.3ad), put its addresses on its port, or set dataplane.xdp: generic", carrier.Name, carrier.Kind)
	case carrier.Kind == "bond" && carrier.Bond != "":
		return fmt.Errorf("bond %q is %s, in which native XDP cannot run: make its mode balance-rr, active-backup, 802.3ad or balance-xor, the latter two with an xmit_hash_policy other than vlan+srcmac, or set dataplane.xdp: generic", carrier.Name, carrier.Bond)
	case stacked(carrier.Kind):
		return fmt.Errorf("interface %q is a %s on an interface of another namespace, so that native XDP cannot run below it: run sluice in that namespace, or set dataplane.xdp: generic", carrier.Name, carrier.Kind)
	}
	return nil
}

// grouped says that links of this kind are made of ports.
func grouped(kind string) bool { return kind == "bond" || kind == "team" }

// tag is the VLAN tag of frames of a link on the wire, 0 for none.
func (f *finder) tag(l Link) (uint16, error) {
	var tag uint16
	top := l
	for range len(f.links) {
		if l.VLAN != 0 && tag != 0 {
			return 0, fmt.Errorf("interface %q (VLAN %d) lies on another VLAN, %q: frames of one tag at most are steered; have the switch take the outer one off", top.Name, tag, l.Name)
		}
		if l.VLAN != 0 {
			tag = l.VLAN
		}
		below, known := f.links[l.Parent]
		if !stacked(l.Kind) || !known {
			break
		}
		l = below
	}
	return tag, nil
}

// refuseTags finds the service whose packets would have to change their VLAN:
// frames keep their tags. Where clients are only guessed to come from, it warns.
func (f *finder) refuseTags(s config.Service, from []int, sure bool) error {
	if len(from) == 0 {
		return nil
	}
	for _, b := range s.Backends {
		to, err := f.kernel.Routes(b.Addr.Addr())
		if err != nil {
			return err
		}
		if len(to) == 0 || f.shareTag(from, to) {
			continue
		}
		text := fmt.Sprintf("service %q: clients come by %s and backend %q (%s) is behind %s: frames keep their tags; let both be of one VLAN, or untagged by ports of their own",
			s.Name, f.wire(from[0]), b.Name, b.Addr, f.wire(to[0]))
		if sure {
			return fmt.Errorf("%s", text)
		}
		f.warnings = append(f.warnings, text)
	}
	return nil
}

// shareTag says that frames can go from one of some links to one of others. A
// link that was refused already, or ends here, is no obstacle.
func (f *finder) shareTag(from, to []int) bool {
	for _, a := range from {
		for _, b := range to {
			one, errOne := f.tag(f.links[a])
			other, errOther := f.tag(f.links[b])
			if errOne != nil || errOther != nil || one == other || f.links[b].inner() {
				return true
			}
		}
	}
	return false
}

// wire names what the frames of a link are on the wire.
func (f *finder) wire(index int) string {
	l := f.links[index]
	if tag, err := f.tag(l); err == nil && tag != 0 {
		return fmt.Sprintf("%q (VLAN %d)", l.Name, tag)
	}
	return fmt.Sprintf("%q (untagged)", l.Name)
}
