package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/links"
	"sluice/internal/node/process"
	"sluice/loader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a machine with its node, as a test wants them.
type fake struct {
	links    []links.Link
	linksErr error
	routes   map[netip.Addr][]int
	cards    map[string]card
	ways     map[netip.Addr]way
	wayErr   error
	connect  map[netip.AddrPort]error
	reads    map[netip.AddrPort]error // PROXY headers
	greeting string
	arp      []net.HardwareAddr
	ndp      []net.HardwareAddr
	arpErr   error
	rights   process.Status
	features []loader.Feature
	on, ours bool
	bpffsErr error
	clock    bool
	clockErr error
	sysctls  map[string]string
	rules    string
	rulesErr error
	legacy   []legacyTables
	legacyEr error
	ports    int
	portsErr error

	status   control.Status
	services []control.Service
	backends []control.Backend
	nodeErr  error
	partErr  error

	election
}

func (f *fake) Links() ([]links.Link, error)            { return f.links, f.linksErr }
func (f *fake) Routes(to netip.Addr) ([]int, error)     { return f.routes[to], nil }
func (f *fake) Rights() (process.Status, error)         { return f.rights, nil }
func (f *fake) Features() []loader.Feature              { return f.features }
func (f *fake) OnBPFFS(string) (on, ours bool, e error) { return f.on, f.ours, f.bpffsErr }
func (f *fake) ClockSynchronised() (bool, error)        { return f.clock, f.clockErr }
func (f *fake) CPUs() int                               { return 4 }
func (f *fake) SourcePorts() (int, error)               { return f.ports, f.portsErr }

func (f *fake) Card(name string) (card, error) {
	c, found := f.cards[name]
	if !found {
		return card{}, errors.New("no card")
	}
	return c, nil
}

func (f *fake) Way(to netip.Addr) (way, bool, error) {
	w, found := f.ways[to]
	return w, found, f.wayErr
}

func (f *fake) Connect(_ context.Context, to netip.AddrPort) (time.Duration, error) {
	return 1234 * time.Microsecond, f.connect[to]
}

func (f *fake) GreetProxy(_ context.Context, to netip.AddrPort) (string, error) {
	return f.greeting, f.reads[to]
}

func (f *fake) WhoHas(_ context.Context, _ string, addr netip.Addr) ([]net.HardwareAddr, error) {
	if addr.Is6() {
		return f.ndp, f.arpErr
	}
	return f.arp, f.arpErr
}

func (f *fake) Sysctl(parts ...string) (string, error) {
	value, found := f.sysctls[strings.Join(parts, " ")]
	if !found {
		return "", errors.New("no sysctl " + strings.Join(parts, " "))
	}
	return value, nil
}

func (f *fake) Ruleset(context.Context) ([]byte, error) {
	if f.rules == "" {
		return nil, f.rulesErr
	}
	return []byte(f.rules), f.rulesErr
}

func (f *fake) LegacyTables(context.Context) ([]legacyTables, error) { return f.legacy, f.legacyEr }

func (f *fake) Status(context.Context) (control.Status, error) { return f.status, f.nodeErr }

func (f *fake) Services(context.Context) (control.ServiceList, error) {
	return control.ServiceList{Services: f.services}, f.partErr
}

func (f *fake) Backends(context.Context) (control.BackendList, error) {
	return control.BackendList{Backends: f.backends}, nil
}

var (
	vip      = netip.MustParseAddrPort("192.0.2.3:22")
	blue     = netip.MustParseAddrPort("10.0.0.11:22")
	red      = netip.MustParseAddrPort("10.0.0.12:22")
	blueMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 11}
	redMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 12}
	fullCaps = process.NodeCaps.Names()
)

// healthy is a gateway that steers three services of all modes well.
func healthy() (*fake, *config.Settings) {
	backends := []config.Backend{{Name: "blue", Addr: blue, Weight: 1}, {Name: "red", Addr: red, Weight: 1}}
	s := &config.Settings{
		Node: config.Node{BPFFS: "/sys/fs/bpf/sluice"},
		Services: []config.Service{
			{Name: "login", Listen: vip, Mode: config.ModeNAT, ClientAddress: config.ClientHide, Backends: backends},
			{Name: "seen", Listen: netip.MustParseAddrPort("192.0.2.3:23"), Mode: config.ModeNAT, ClientAddress: config.ClientKeep, Backends: backends},
			{Name: "fast", Listen: netip.MustParseAddrPort("192.0.2.3:24"), Mode: config.ModeDSR, Backends: backends},
			{Name: "own", Listen: netip.MustParseAddrPort("192.0.2.3:25"), Mode: config.ModeSSHD},
		},
	}
	f := &fake{
		links: []links.Link{
			{Index: 1, Name: "lo", Loopback: true},
			{Index: 2, Name: "ext0", Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.3/32")}},
			{Index: 3, Name: "int0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}},
			{Index: 4, Name: "int0.7", Kind: "vlan", Parent: 3},
			{Index: 5, Name: "spare"},
		},
		routes: map[netip.Addr][]int{blue.Addr(): {3}, red.Addr(): {3}},
		cards: map[string]card{
			"ext0": {Up: true, MTU: 1500, Driver: "ice", RXQueues: 4, Told: true, Native: true, Redirect: true},
			"int0": {Up: true, MTU: 1500, Driver: "veth", RXQueues: 4, Peer: true, PeerHere: true, PeerName: "far0", PeerMTU: 1500, PeerTXQueues: 4, Told: true, Native: true, Redirect: true},
		},
		ways: map[netip.Addr]way{
			blue.Addr(): {Link: "int0", MAC: blueMAC},
			red.Addr():  {Link: "int0.7", MAC: redMAC},
		},
		features: []loader.Feature{{Name: "XDP programs", Since: "4.8"}},
		rights:   process.Status{Effective: process.NodeCaps},
		on:       true, ours: true, clock: true, ports: 36280,
		rules: `{"nftables": []}`,
		sysctls: map[string]string{
			"net ipv4 conf ext0 forwarding": "1", "net ipv4 conf int0 forwarding": "1",
			"net ipv4 conf ext0 rp_filter": "0", "net ipv4 conf int0 rp_filter": "2", "net ipv4 conf all rp_filter": "0",
		},
		status: control.Status{
			Node: "gw-a", Settings: control.SettingsState{Generation: 7},
			Processes: []control.Process{{Name: "parent"}, {Name: "node", UID: 998, Capabilities: control.Capabilities{Effective: fullCaps, Bounding: fullCaps}}},
		},
		services: []control.Service{{Listen: s.Services[1].Listen, FlowsOpened: 3}},
		backends: []control.Backend{{Addr: blue, State: control.StateUp, Health: "passing"}, {Addr: red, State: control.StateUp, Health: "passing"}},
	}
	return f, s
}

// bad are the findings that are not a pass.
func bad(list []Finding) []Finding {
	var out []Finding
	for _, f := range list {
		if f.Level != Pass {
			out = append(out, f)
		}
	}
	return out
}
