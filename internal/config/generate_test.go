package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// generator makes settings that obey every rule. The same seed makes the same
// ones.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 0))} }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// span returns a whole number of milliseconds from least to most.
func (g generator) span(least, most time.Duration) time.Duration {
	d := least + time.Duration(g.Int64N(int64(most-least)+1))
	return max(least, d.Truncate(pick(g, time.Millisecond, time.Second, time.Hour)))
}

func (g generator) settings() *Settings {
	s := &Settings{
		Node: Node{
			Name:    pick(g, "gw-a", "n1", "gw_b.example.org", "true", "7"),
			DataDir: pick(g, "/", "/var/lib/sluice", "/srv/a b", `/srv/"quoted" \ and 'single'`, "/ä#: {x}"),
			BPFFS:   pick(g, "/sys/fs/bpf/sluice", "/sys/fs/bpf/x"),
			Control: Control{Socket: "/run/sluice/control.sock"},
			Metrics: pick(g, "", ":9422", "127.0.0.1:9422", "[::1]:1"),
			User:    pick(g, "sluice", "root", "no", "_a-b9"),
		},
		Dataplane: Dataplane{
			Interfaces: pick(g, nil, []string{"eth0"}, []string{"ext0", "bond0.7", "1", "null", "${x}", "$$", "-", "é"}),
			XDP:        pick(g, XDPAuto, XDPNative, XDPGeneric),
			MaxFlows:   1024 + g.IntN(16777216-1024),
			Lifetimes: Lifetimes{
				Established: g.span(time.Minute, 720*time.Hour),
				HalfClosed:  g.span(time.Second, time.Hour),
				Closed:      g.span(time.Second, 10*time.Minute),
				Embryo:      g.span(time.Second, 10*time.Minute),
			},
			Watchdog: g.span(time.Second, time.Hour),
		},
	}
	s.Guard = g.guard()
	if s.Dataplane.Interfaces != nil && g.IntN(2) == 0 {
		s.Dataplane.Decap = Decap{
			Interfaces: []string{"tun0", "bond1.7"},
			From:       []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("2001:db8:2::1/128")},
			VIPs:       []netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3")},
		}
	}
	if g.IntN(2) == 0 {
		s.Nodes = map[string]map[string]string{
			"gw-a":   {"a": pick(g, "b", "1", "yes", "a\u00a0\u2028😀é\\", " ", "#", "1.0")},
			"a.b.c.": nil,
			"2":      {"x1": "y"},
		}
	}
	for i := range g.IntN(6) {
		s.Services = append(s.Services, g.service(i))
	}
	if g.IntN(2) == 0 {
		s.spread(g)
	}
	if g.IntN(2) == 0 {
		s.failover(g)
	}
	return s
}

// spread adds a service of nodes, with the variables it needs.
func (s *Settings) spread(g generator) {
	if s.Nodes == nil {
		s.Nodes = map[string]map[string]string{}
	}
	other := netip.MustParseAddr("192.0.2.202")
	s.Nodes[s.Node.Name] = map[string]string{"n": "201"}
	s.Nodes["gw-z"] = map[string]string{"n": "202"}
	vip := netip.MustParseAddrPort("192.0.2.200:22")
	service := Service{
		Name: "spread", Listen: vip, Mode: ModeSSHD, Select: pick(g, SelectHash, SelectClient), OnDown: OnDownKeep,
		HealthCheck: HealthCheck{Type: HealthCheckOff, Interval: 2 * time.Second, Timeout: time.Second, Rise: 1, Fall: 1},
		Nodes:       []ServiceNode{{Name: "gw-z", Weight: 1 + g.IntN(3)}, {Name: s.Node.Name, Weight: 1}},
		NodeAddr:    "192.0.2.${n}", Via: pick(g, ModeDSR, ModeIPIP, ModeGUE), Own: netip.MustParseAddr("192.0.2.201"), Others: []netip.Addr{other},
	}
	for i, at := range []netip.Addr{other, netip.MustParseAddr("192.0.2.201")} {
		n := service.Nodes[i]
		service.Backends = append(service.Backends, Backend{
			Name: n.Name, Addr: netip.AddrPortFrom(at, vip.Port()), Weight: n.Weight, Local: i == 1,
		})
	}
	s.Services = append(s.Services, service)
}

func (g generator) guard() Guard {
	networks := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("198.51.100.7/32"),
		netip.MustParsePrefix("::/0"), netip.MustParsePrefix("2001:db8::/33"),
	}
	return Guard{
		Deny:           pick(g, nil, networks[:1], networks),
		Exempt:         pick(g, nil, networks[2:]),
		SYNPerClient:   pick(g, Rate{}, Rate{1, time.Hour}, Rate{50, time.Second}, Rate{1000000, time.Minute}),
		FlowsPerClient: pick(g, 0, 1, 1000000),
		Challenge:      pick(g, ChallengeAuto, ChallengeOff),
	}
}

// service returns the service of that number: one of a VIP of its own.
func (g generator) service(i int) Service {
	vip := pick(g, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)))
	s := Service{
		Listen: netip.AddrPortFrom(vip, uint16(1+g.IntN(65535))),
		Mode:   pick(g, ModeNAT, ModeDSR, ModeIPIP, ModeGUE, ModeSSHD),
	}
	s.Name = pick(g, s.Listen.String(), fmt.Sprintf("s%d", i), fmt.Sprintf("off.%d", i))
	if s.Mode == ModeSSHD {
		return s
	}
	s.Select = SelectHash
	s.LastResort = pick(g, LastResortNone, LastResortDraining)
	s.OnDown = pick(g, OnDownKeep, OnDownReset)
	s.HealthCheck = HealthCheck{
		Type:     pick(g, HealthCheckSSH, HealthCheckTCP, HealthCheckOff),
		Interval: g.span(time.Minute+1, time.Hour),
		Timeout:  g.span(50*time.Millisecond, time.Minute),
		Rise:     1 + g.IntN(100),
		Fall:     1 + g.IntN(100),
	}
	if s.Mode == ModeNAT {
		s.ClientAddress = pick(g, ClientHide, ClientProxyV2, ClientKeep)
	}
	if s.ClientAddress.Hides() && g.IntN(2) == 0 {
		s.SourcePool = []netip.Addr{vip, vip.Next()}[:1+g.IntN(2)]
	}
	if s.Mode.Tunnels() && g.IntN(2) == 0 {
		s.OuterSource = []netip.Prefix{pick(g, netip.MustParsePrefix("10.0.2.16/28"), netip.MustParsePrefix("2001:db8:2::1/128"))}
	}
	for range 1 + g.IntN(4) {
		s.Backends = append(s.Backends, g.backend(len(s.Backends), s))
	}
	return s
}

// backend returns the backend of that number, the same in all services.
func (g generator) backend(i int, s Service) Backend {
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
	if s.Listen.Addr().Is6() {
		addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", i+1))
	}
	b := Backend{Addr: netip.AddrPortFrom(addr, s.Listen.Port()), Weight: g.IntN(MaxWeight + 1)}
	b.Name = b.Addr.String()
	if i%2 == 0 {
		b.Name = fmt.Sprintf("blue%d-%d-%s", i, b.Addr.Port(), family(addr))
	}
	return b
}
