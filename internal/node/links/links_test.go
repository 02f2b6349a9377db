package links

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

// machine is a kernel of one's own.
type machine struct {
	links  []Link
	routes map[string][]int // prefix to interfaces
	err    error
}

func (m machine) Links() ([]Link, error) { return m.links, m.err }

func (m machine) Routes(to netip.Addr) ([]int, error) {
	best := -1
	var ways []int
	for p, w := range m.routes {
		if p := netip.MustParsePrefix(p); p.Contains(to) && p.Bits() > best {
			best, ways = p.Bits(), w
		}
	}
	return ways, m.err
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// gateway has an outer and an inner interface, and much beside.
var gateway = machine{
	links: []Link{
		{Index: 1, Name: "lo", Loopback: true, Addrs: prefixes("127.0.0.1/8", "::1/128", "198.51.100.9/32")},
		{Index: 2, Name: "ext0", Kind: "device", Addrs: prefixes("192.0.2.1/24", "192.0.2.3/32", "fd00:e::1/64")},
		{Index: 3, Name: "int0", Kind: "device", Addrs: prefixes("10.0.0.1/24", "fd00:a::1/64")},
		{Index: 4, Name: "int1", Kind: "device", Addrs: prefixes("10.1.0.1/24")},
		{Index: 5, Name: "vmac0", Kind: "macvlan", Parent: 2, Addrs: prefixes("192.0.2.5/32")},
		{Index: 6, Name: "vip0", Kind: "dummy", Addrs: prefixes("198.51.100.7/32")},
		{Index: 7, Name: "vmac1", Kind: "macvlan", Parent: 5, Addrs: prefixes("192.0.2.6/32")},
		{Index: 8, Name: "spare", Kind: "device"},
		{Index: 9, Name: "int0.7", Kind: "vlan", VLAN: 7, Parent: 3, Addrs: prefixes("10.7.0.1/24")},
		{Index: 10, Name: "vmac2", Kind: "macvlan", Addrs: prefixes("192.0.2.7/32")},
		{Index: 11, Name: "bond0", Kind: "bond", Addrs: prefixes("10.20.0.1/24")},
		{Index: 12, Name: "port0", Kind: "device", Master: 11},
		{Index: 13, Name: "bond0.7", Kind: "vlan", VLAN: 7, Parent: 11, Addrs: prefixes("10.27.0.1/24")},
		{Index: 14, Name: "vmac3", Kind: "macvlan", Parent: 13, Addrs: prefixes("10.27.0.3/32")},
		{Index: 15, Name: "bond0.8", Kind: "vlan", VLAN: 8, Parent: 11, Addrs: prefixes("10.28.0.1/24")},
		{Index: 16, Name: "bond0.7.9", Kind: "vlan", VLAN: 9, Parent: 13, Addrs: prefixes("10.29.0.1/24")},
		{Index: 17, Name: "bond1", Kind: "bond", Bond: "in mode balance-tlb", Addrs: prefixes("10.30.0.1/24")},
		{Index: 18, Name: "team0", Kind: "team", Addrs: prefixes("10.31.0.1/24")},
		{Index: 19, Name: "port1", Kind: "device", Master: 18},
		{Index: 20, Name: "br0", Kind: "bridge", Addrs: prefixes("10.32.0.1/24")},
		{Index: 21, Name: "port2", Kind: "device", Master: 20},
		{Index: 22, Name: "wg0", Kind: "wireguard", NoEthernet: true, Addrs: prefixes("10.33.0.1/24")},
		{Index: 23, Name: "red", Kind: "vrf"},
		{Index: 24, Name: "inred", Kind: "device", Master: 23},
	},
	routes: map[string][]int{
		"0.0.0.0/0": {2}, "10.0.0.0/24": {3}, "10.1.0.0/24": {4}, "10.9.0.0/16": {3, 4},
		"fd00:a::/64": {3}, "192.0.2.3/32": {1}, "198.51.100.7/32": {1}, "10.7.0.0/24": {9}, "10.8.0.0/16": {1},
		"10.20.0.0/24": {11}, "10.27.0.0/24": {13}, "10.28.0.0/24": {15}, "10.29.0.0/24": {16}, "10.30.0.0/24": {17},
		"10.31.0.0/24": {18}, "10.32.0.0/24": {20}, "10.33.0.0/24": {22},
	},
}

func service(listen string, backends ...string) config.Service {
	s := config.Service{Name: "login", Listen: netip.MustParseAddrPort(listen)}
	for _, b := range backends {
		s.Backends = append(s.Backends, config.Backend{Name: b, Addr: netip.MustParseAddrPort(b)})
	}
	return s
}

// spread is a service of nodes, the first of which is this one if own is set.
func spread(own bool, nodes ...string) config.Service {
	s := service("192.0.2.3:22", nodes...)
	s.Mode, s.Via, s.Backends[0].Local = config.ModeSSHD, config.ModeDSR, own
	for _, n := range nodes {
		s.Nodes = append(s.Nodes, config.ServiceNode{Name: n, Weight: 1})
	}
	return s
}

func TestSelect(t *testing.T) {
	for name, c := range map[string]struct {
		named    []string
		services []config.Service
		want     []string
		warn     string
	}{
		"holder and way to backend":  {nil, []config.Service{service("192.0.2.3:22", "10.0.0.11:22")}, []string{"ext0", "int0"}, ""},
		"each once":                  {nil, []config.Service{service("192.0.2.3:22", "10.0.0.11:22", "10.0.0.12:22"), service("192.0.2.3:23", "10.0.0.11:22")}, []string{"ext0", "int0"}, ""},
		"all ways of a route":        {nil, []config.Service{service("192.0.2.3:22", "10.9.0.11:22")}, []string{"ext0", "int0", "int1"}, ""},
		"one arm":                    {nil, []config.Service{service("10.0.0.3:22", "10.0.0.11:22")}, []string{"int0"}, ""},
		"VIP of the network":         {nil, []config.Service{service("10.1.0.77:22", "10.0.0.11:22")}, []string{"int0", "int1"}, ""},
		"VIP on a macvlan":           {nil, []config.Service{service("192.0.2.5:22", "10.0.0.11:22")}, []string{"ext0", "int0"}, ""},
		"macvlan on macvlan":         {nil, []config.Service{service("192.0.2.6:22", "10.0.0.11:22")}, []string{"ext0", "int0"}, ""},
		"VLAN":                       {nil, []config.Service{service("10.7.0.1:22", "10.7.0.11:22")}, []string{"int0"}, ""},
		"bond":                       {nil, []config.Service{service("10.20.0.1:22", "10.20.0.11:22", "10.0.0.11:22")}, []string{"int0", "bond0"}, ""},
		"VLAN on a bond":             {nil, []config.Service{service("10.27.0.1:22", "10.27.0.11:22")}, []string{"bond0"}, ""},
		"macvlan on VLAN on a bond":  {nil, []config.Service{service("10.27.0.3:22", "10.7.0.11:22")}, []string{"int0", "bond0"}, ""},
		"named VLAN":                 {[]string{"bond0.7", "int0.7"}, []config.Service{service("10.27.0.3:22", "10.7.0.11:22")}, []string{"bond0", "int0"}, ""},
		"VLANs, guessed":             {nil, []config.Service{service("198.51.100.9:22", "10.7.0.11:22")}, []string{"ext0", "int0"}, "frames keep their tags"},
		"port of a VRF":              {[]string{"inred"}, nil, []string{"inred"}, ""},
		"team by generic XDP":        {nil, []config.Service{service("10.31.0.1:22")}, []string{"team0"}, ""},
		"route that ends here":       {nil, []config.Service{service("192.0.2.3:22", "10.8.0.11:22")}, []string{"ext0"}, ""},
		"parent abroad":              {nil, []config.Service{service("192.0.2.7:22", "10.0.0.11:22")}, []string{"int0", "vmac2"}, ""},
		"VIP on lo":                  {nil, []config.Service{service("198.51.100.9:22", "10.0.0.11:22")}, []string{"ext0", "int0"}, ""},
		"VIP on a dummy":             {nil, []config.Service{service("198.51.100.7:22", "10.0.0.11:22")}, []string{"ext0", "int0"}, ""},
		"IPv6":                       {nil, []config.Service{service("[fd00:e::3]:22", "[fd00:a::11]:22")}, []string{"ext0", "int0"}, ""},
		"IPv6 without default route": {nil, []config.Service{service("[fd00:b::3]:22", "[fd00:a::11]:22")}, []string{"int0"}, "where clients come from is not known"},
		"no route to a backend":      {nil, []config.Service{service("192.0.2.3:22", "[fd00:c::11]:22")}, []string{"ext0"}, "no route to backend \"[fd00:c::11]:22\""},
		"nodes, this one among them": {nil, []config.Service{spread(true, "10.1.0.1:22", "10.0.0.2:22")}, []string{"ext0", "int0"}, ""},
		"mode sshd":                  {nil, []config.Service{service("192.0.2.3:22")}, []string{"ext0"}, ""},
		"nothing to steer":           {nil, nil, []string{}, ""},
		"named":                      {[]string{"spare", "int1"}, []config.Service{service("192.0.2.3:22", "10.0.0.11:22")}, []string{"spare", "int1"}, ""},
		"named macvlan":              {[]string{"vmac0", "ext0"}, nil, []string{"ext0"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &config.Settings{Services: c.services}
			s.Dataplane.Interfaces = c.named
			got, err := Select(gateway, s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Names); diff != "" {
				t.Error(diff)
			}
			if warned := strings.Join(got.Warnings, "\n"); (c.warn == "") != (warned == "") || !strings.Contains(warned, c.warn) {
				t.Errorf("warnings %q, want %q", warned, c.warn)
			}
		})
	}
}

func TestSelectRefuses(t *testing.T) {
	island := machine{links: gateway.links[:1]}
	for name, c := range map[string]struct {
		kernel   Kernel
		named    []string
		services []config.Service
		want     []string
	}{
		"missing":         {gateway, []string{"ext0", "eth7", "eth8"}, nil, []string{`"eth7", "eth8"`, "ext0, inred, int0, int0.7"}},
		"own address":     {gateway, nil, []config.Service{service("192.0.2.3:22", "10.1.0.1:22")}, []string{`backend "10.1.0.1:22"`, "int1"}},
		"VIP as backend":  {gateway, []string{"ext0"}, []config.Service{service("192.0.2.3:22", "192.0.2.5:22")}, []string{"vmac0"}},
		"none found":      {island, nil, []config.Service{service("192.0.2.3:22", "10.0.0.11:22")}, []string{"dataplane.interfaces"}},
		"other VLAN":      {gateway, nil, []config.Service{service("192.0.2.3:22", "10.7.0.11:22")}, []string{`"login"`, `"ext0" (untagged)`, `"int0.7" (VLAN 7)`, "one VLAN"}},
		"other VLANs":     {gateway, []string{"bond0"}, []config.Service{service("10.27.0.1:22", "10.28.0.11:22")}, []string{`"bond0.7" (VLAN 7)`, `"bond0.8" (VLAN 8)`}},
		"two tags":        {gateway, nil, []config.Service{service("10.29.0.1:22")}, []string{`"bond0.7.9"`, `"bond0.7"`, "outer one"}},
		"named two":       {gateway, []string{"bond0.7.9"}, nil, []string{"dataplane.interfaces", "outer one"}},
		"no Ethernet":     {gateway, nil, []config.Service{service("192.0.2.3:22", "10.33.0.11:22")}, []string{`"wg0" (wireguard)`, "gue"}},
		"bond's port":     {gateway, []string{"port0"}, nil, []string{`"port0" is a port of "bond0"`}},
		"team's port":     {gateway, []string{"port1"}, nil, []string{`"team0" (team)`}},
		"bridge port":     {gateway, []string{"port2"}, nil, []string{`"br0" (bridge)`}},
		"kernel fails":    {machine{err: errors.New("no netlink")}, nil, nil, []string{"no netlink"}},
		"node of another": {gateway, nil, []config.Service{spread(false, "10.1.0.1:22")}, []string{`node "10.1.0.1:22"`, "set node.name"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &config.Settings{Services: c.services}
			s.Dataplane.Interfaces = c.named
			got, err := Select(c.kernel, s)
			if err == nil {
				t.Fatalf("selected %v", got)
			}
			if slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(err.Error(), w) }) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
}

// Where native XDP is asked for, links that cannot have it are refused with some
// that can; where it is not, generic XDP serves.
func TestSelectNative(t *testing.T) {
	for vip, want := range map[string][]string{
		"10.30.0.1:22": {`bond "bond1" is in mode balance-tlb`, "802.3ad", "generic"},
		"10.31.0.1:22": {`"team0" is a team`, "bond", "generic"},
		"10.32.0.1:22": {`"br0" is a bridge`, "port", "generic"},
		"192.0.2.7:22": {`"vmac2" is a macvlan`, "namespace", "generic"},
		"10.20.0.1:22": nil,
		"10.27.0.3:22": nil,
	} {
		for _, mode := range []config.XDPMode{config.XDPNative, config.XDPAuto, config.XDPGeneric} {
			s := &config.Settings{Services: []config.Service{service(vip)}}
			s.Dataplane.XDP = mode
			_, err := Select(gateway, s)
			if (err != nil) != (want != nil && mode == config.XDPNative) {
				t.Errorf("%s, xdp: %s: %v", vip, mode, err)
			}
			for _, w := range want {
				if err != nil && !strings.Contains(err.Error(), w) {
					t.Errorf("%s, xdp: %s: %v, want %q in it", vip, mode, err, w)
				}
			}
		}
	}
}
