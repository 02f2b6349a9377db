package address

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

const (
	maxName  = 15  // IFNAMSIZ of linux/if.h, less the zero
	maxAlias = 255 // IFALIASZ of linux/if.h, less the zero
)

// place is an interface on which VIPs lie: a macvlan, or without a MAC the
// physical interface itself.
type place struct {
	parent string
	mac    net.HardwareAddr
	// name is the macvlan's, or parent.
	name string
	vips []netip.Addr
}

func (p *place) virtual() bool { return p.mac != nil }

// places groups the VIPs by interface and MAC, in their order.
func places(plan Plan) []place {
	var list []place
	for _, v := range plan.VIPs {
		at := slices.IndexFunc(list, func(p place) bool {
			return p.parent == v.Interface && slices.Equal(p.mac, v.MAC)
		})
		if at < 0 {
			at = len(list)
			p := place{parent: v.Interface, name: v.Interface}
			if v.MAC != nil {
				p.mac, p.name = slices.Clone(v.MAC), macvlanName(plan.VRID, v.Interface, v.MAC)
			}
			list = append(list, p)
		}
		list[at].vips = append(list[at].vips, v.Addr.Addr())
	}
	return list
}

// macvlanName is the same at each start, so that a restarted daemon finds what it
// left, and within the 15 bytes a name may have, which the parent's may fill.
func macvlanName(vrid int, parent string, mac net.HardwareAddr) string {
	h := fnv.New32a()
	h.Write([]byte(parent))
	h.Write(mac)
	return fmt.Sprintf("vip%d-%08x", vrid, h.Sum32())
}

var macvlanPattern = regexp.MustCompile(`^vip([0-9]{1,3})-[0-9a-f]{8}$`)

const aliasWords = "sluice vip "

func aliasOf(cluster string) string { return aliasWords + cluster }

// owner is the virtual cluster whose macvlan the link is. Without an alias, as
// one is that was left between two steps of making it, its cluster is "".
func (l *link) owner() (cluster string, ours bool) {
	match := macvlanPattern.FindStringSubmatch(l.name)
	if l.kind != "macvlan" || match == nil {
		return "", false
	}
	if l.alias == "" {
		return "", true
	}
	return strings.CutPrefix(l.alias, aliasWords)
}
