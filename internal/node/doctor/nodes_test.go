package doctor

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/internal/control"
)

var (
	ownAddr   = netip.MustParseAddrPort("192.0.2.1:22")
	otherAddr = netip.MustParseAddrPort("192.0.2.2:22")
	otherMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// terminating is a machine that terminates connections together with another,
// and has the VIP.
func terminating() (*fake, *config.Settings) {
	f, s := healthy()
	s.Services = []config.Service{{
		Name: "login", Listen: vip, Mode: config.ModeSSHD, Via: config.ModeDSR,
		Nodes: []config.ServiceNode{{Name: "gw-a", Weight: 1}, {Name: "gw-b", Weight: 1}},
		Backends: []config.Backend{
			{Name: "gw-a", Addr: ownAddr, Weight: 1, Local: true}, {Name: "gw-b", Addr: otherAddr, Weight: 1},
		},
	}}
	f.routes[otherAddr.Addr()] = []int{2}
	f.ways[otherAddr.Addr()] = way{Link: "ext0", MAC: otherMAC}
	f.ways[vip.Addr()] = way{Link: "lo"}
	for _, of := range []string{"all", "ext0"} {
		f.sysctls["net ipv4 conf "+of+" arp_ignore"], f.sysctls["net ipv4 conf "+of+" arp_announce"] = "0", "0"
	}
	f.sysctls["net ipv4 conf ext0 arp_ignore"], f.sysctls["net ipv4 conf all arp_announce"] = "1", "2"
	f.services = nil
	f.backends = []control.Backend{{Addr: ownAddr, State: control.StateUp, Health: "passing"}, {Addr: otherAddr, State: control.StateUp, Health: "passing"}}
	return f, s
}

// without takes the VIP from the machine.
func without(f *fake) {
	f.links[1].Addrs = f.links[1].Addrs[:1]
	f.arp = []net.HardwareAddr{otherMAC}
}

func TestHealthyNodes(t *testing.T) {
	for name, harm := range map[string]func(*fake, *config.Settings){
		"has the VIP": func(*fake, *config.Settings) {},
		"does not":    func(f *fake, _ *config.Settings) { without(f) },
		"VIP on lo": func(f *fake, _ *config.Settings) {
			without(f)
			f.links[0].Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.3/32")}
		},
		"VIP of no network of ours": func(f *fake, s *config.Settings) {
			s.Services[0].Listen = netip.MustParseAddrPort("203.0.113.3:22")
			f.ways[s.Services[0].Listen.Addr()] = way{Link: "lo"}
			f.routes[netip.MustParseAddr("203.0.113.1")] = []int{2}
		},
		"terminates nothing": func(f *fake, s *config.Settings) {
			s.Services[0].Nodes, s.Services[0].Backends = s.Services[0].Nodes[1:], s.Services[0].Backends[1:]
			delete(f.ways, vip.Addr())
			f.sysctls["net ipv4 conf all arp_announce"] = "0"
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := terminating()
			harm(f, s)
			list := examine(t.Context(), s, f, f)
			for _, found := range bad(list) {
				t.Errorf("%+v", found)
			}
			if !slices.ContainsFunc(list, func(f Finding) bool { return f.Subject == "node gw-b in login" }) {
				t.Error("nothing is said about gw-b")
			}
		})
	}
}

func TestNodeAilments(t *testing.T) {
	for _, a := range []ailment{
		{"nobody has it", func(f *fake, _ *config.Settings) { without(f); f.arp = nil },
			Fail, "VIP 192.0.2.3", "nobody on the network of ext0 has it", "ip address add 192.0.2.3/32 dev ext0"},
		{"several have one of IPv6", func(f *fake, s *config.Settings) {
			without(f)
			six := netip.MustParseAddrPort("[2001:db8::3]:22")
			s.Services[0].Listen = six
			f.ways[six.Addr()] = way{Link: "lo"}
			f.links[1].Addrs = append(f.links[1].Addrs, netip.MustParsePrefix("2001:db8::1/64"))
			f.ndp = []net.HardwareAddr{otherMAC, redMAC}
		}, Fail, "VIP 2001:db8::3", "2 machines on the network of ext0", "leave it on one"},
		{"several have it", func(f *fake, _ *config.Settings) { without(f); f.arp = append(f.arp, redMAC) },
			Fail, "VIP 192.0.2.3", "2 machines on the network of ext0", "leave it on one"},
		{"ARP fails", func(f *fake, _ *config.Settings) { without(f); f.arpErr = errors.New("link is gone") },
			Warn, "VIP 192.0.2.3", "link is gone", "root"},
		{"wrong address", func(f *fake, _ *config.Settings) { f.links[1].Addrs[0] = netip.MustParsePrefix("192.0.2.77/24") },
			Fail, "node gw-a in login", "has the address 192.0.2.1, which no interface here has", "node.name"},
		{"no local route", func(f *fake, _ *config.Settings) { f.ways[vip.Addr()] = way{Link: "ext0"} },
			Fail, "node gw-a in login", "packets for the VIP 192.0.2.3 do not end here", "ip route add local 192.0.2.3 dev lo"},
		{"answers ARP", func(f *fake, _ *config.Settings) { f.sysctls["net ipv4 conf ext0 arp_ignore"] = "0" },
			Fail, "node gw-a in login", "arp_ignore is 0", "sysctl -w net.ipv4.conf.ext0.arp_ignore=1"},
		{"asks by the VIP", func(f *fake, _ *config.Settings) { f.sysctls["net ipv4 conf all arp_announce"] = "1" },
			Fail, "node gw-a in login", "arp_announce is 1", "arp_announce=2"},
		{"no sysctl", func(f *fake, _ *config.Settings) {
			f.sysctls["net ipv4 conf all arp_announce"] = "x"
		}, Warn, "node gw-a in login", "read sysctl arp_announce", "/proc/sys"},
		{"no listener", func(f *fake, _ *config.Settings) {
			f.backends[0] = control.Backend{Addr: ownAddr, State: control.StateDown, Reason: "connection refused"}
		}, Fail, "node gw-a in login", "down by its health check: connection refused", "hand a listening socket over"},
		{"other node behind a router", func(f *fake, _ *config.Settings) {
			f.ways[otherAddr.Addr()] = way{Link: "ext0", MAC: otherMAC, Gateway: netip.MustParseAddr("192.0.2.254")}
		}, Fail, "node gw-b in login", "behind the router 192.0.2.254", "node_addr"},
		{"no room for the outer header", func(f *fake, s *config.Settings) {
			s.Services[0].Via = config.ModeGUE
			change(f, "ext0", func(c *card) { c.MTU = 1527 })
			f.ways[otherAddr.Addr()] = way{Link: "ext0", MAC: otherMAC, Gateway: netip.MustParseAddr("192.0.2.254")}
		}, Warn, "node gw-b in login", "the MTU 1527 of ext0 leaves 1499 bytes", "advmss 1459"},
		{"other node silent", func(f *fake, _ *config.Settings) {
			f.ways[otherAddr.Addr()] = way{Link: "ext0", Failed: true}
		}, Fail, "node gw-b in login", "nobody answers for 192.0.2.2", "network"},
		{"other node fails", func(f *fake, _ *config.Settings) {
			f.backends[1].Health, f.backends[1].Reason = "failing", "connect: timeout"
		}, Fail, "node gw-b in login", "does not answer on the VIP: connect: timeout", "doctor"},
		{"other node answers ARP", func(f *fake, _ *config.Settings) { f.arp = []net.HardwareAddr{otherMAC} },
			Fail, "node gw-b in login", "answers ARP for the VIP 192.0.2.3", "arp_ignore=1"},
	} {
		t.Run(a.name, func(t *testing.T) {
			f, s := terminating()
			a.harm(f, s)
			found := bad(examine(t.Context(), s, f, f))
			if len(found) != 1 || found[0].Level != a.level || found[0].Subject != a.subject ||
				!strings.Contains(found[0].Text, a.text) || !strings.Contains(found[0].Hint, a.hint) {
				t.Errorf("found %+v, want %+v", found, a)
			}
		})
	}
}

// What the running node does by itself is a fault only where it runs.
func TestNodesWithoutNode(t *testing.T) {
	f, s := terminating()
	f.nodeErr = errors.New("refused")
	f.ways[vip.Addr()] = way{Link: "ext0"}
	f.sysctls["net ipv4 conf ext0 arp_ignore"] = "0"
	for _, found := range bad(examine(t.Context(), s, f, f)) {
		if found.Level == Fail {
			t.Errorf("%+v", found)
		}
	}
}
