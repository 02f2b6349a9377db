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
		{Index: 9, Name: "int0.7", Kind: "vlan", Parent: 3, Addrs: prefixes("10.7.0.1/24")},
		{Index: 10, Name: "vmac2", Kind: "macvlan", Addrs: prefixes("192.0.2.7/32")},
	},
	routes: map[string][]int{
		"0.0.0.0/0": {2}, "10.0.0.0/24": {3}, "10.1.0.0/24": {4}, "10.9.0.0/16": {3, 4},
		"fd00:a::/64": {3}, "192.0.2.3/32": {1}, "198.51.100.7/32": {1}, "10.7.0.0/24": {9}, "10.8.0.0/16": {1},
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
		"VLAN":                       {nil, []config.Service{service("192.0.2.3:22", "10.7.0.11:22")}, []string{"ext0", "int0"}, ""},
		"route that ends here":       {nil, []config.Service{service("192.0.2.3:22", "10.8.0.11:22")}, []string{"ext0"}, ""},
		"parent abroad":              {nil, []config.Service{service("192.0.2.7:22", "10.7.0.11:22")}, []string{"int0", "vmac2"}, ""},
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
		"missing":         {gateway, []string{"ext0", "eth7", "eth8"}, nil, []string{`"eth7", "eth8"`, "ext0, int0, int0.7"}},
		"own address":     {gateway, nil, []config.Service{service("192.0.2.3:22", "10.1.0.1:22")}, []string{`backend "10.1.0.1:22"`, "int1"}},
		"node of another": {gateway, nil, []config.Service{spread(false, "10.1.0.1:22")}, []string{`node "10.1.0.1:22"`, "set node.name"}},
		"VIP as backend":  {gateway, []string{"ext0"}, []config.Service{service("192.0.2.3:22", "192.0.2.5:22")}, []string{"vmac0"}},
		"none found":      {island, nil, []config.Service{service("192.0.2.3:22", "10.0.0.11:22")}, []string{"dataplane.interfaces"}},
		"kernel fails":    {machine{err: errors.New("no netlink")}, nil, nil, []string{"no netlink"}},
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
