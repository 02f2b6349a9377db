package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/links"
)

// election is what a fake knows of virtual clusters.
type election struct {
	own          map[string][]netip.Prefix
	silent       map[netip.Addr]bool // to pings
	rtt          time.Duration
	pingErr      error
	filtered     map[string]bool // interfaces of which only the own MAC passes, by family
	strangers    []net.HardwareAddr
	strangerErr  error
	macvlanErr   error
	platform     string
	keyMode      fs.FileMode
	keyErr       error
	clusterKey   string
	written      time.Time
	clusterErr   error
	urgent       urgency
	urgentErr    error
	keepaliveds  []keepalived
	keepaliveErr error
	virtual      []control.VirtualCluster
	virtualErr   error
}

var today = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (f *fake) Own(link string) ([]netip.Prefix, error) { return f.own[link], nil }

func (f *fake) Ping(_ context.Context, _ string, hosts []netip.Addr) (map[netip.Addr]pong, error) {
	answers := map[netip.Addr]pong{}
	for _, h := range hosts {
		answers[h] = pong{OK: !f.silent[h], RTT: f.rtt}
	}
	return answers, f.pingErr
}

func (f *fake) WhoHasFor(_ context.Context, link string, from net.HardwareAddr, addr netip.Addr) ([]net.HardwareAddr, error) {
	f.strangers = append(f.strangers, from)
	if addr.Is6() {
		link += ", IPv6"
	}
	if f.filtered[link] || f.strangerErr != nil {
		return nil, f.strangerErr
	}
	return []net.HardwareAddr{blueMAC}, nil
}

func (f *fake) Macvlan(string) error                  { return f.macvlanErr }
func (f *fake) Platform() string                      { return f.platform }
func (f *fake) AdvertKey(string) (fs.FileMode, error) { return f.keyMode, f.keyErr }
func (f *fake) Urgency(int) (urgency, error)          { return f.urgent, f.urgentErr }
func (f *fake) Keepalived() ([]keepalived, error)     { return f.keepaliveds, f.keepaliveErr }
func (f *fake) Now() time.Time                        { return today }
func (f *fake) ClusterKey(string) (string, time.Time, error) {
	return f.clusterKey, f.written, f.clusterErr
}

func (f *fake) VirtualClusters(context.Context) (control.VirtualClusterList, error) {
	return control.VirtualClusterList{VirtualClusters: f.virtual}, f.virtualErr
}

var (
	gate    = netip.MustParseAddr("192.0.2.254")
	inside  = netip.MustParseAddr("10.0.0.50")
	beside  = netip.MustParseAddr("169.254.1.0")
	virtual = net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	six     = net.HardwareAddr{0, 0, 0x5e, 0, 2, 51}
)

// pair is gw-a, the backup of a pair that elects who has 192.0.2.3 and
// 2001:db8::3.
func pair() (*fake, *config.Settings) {
	f, s := healthy()
	s.Services = s.Services[:2]
	s.Node.DataDir = "/var/lib/sluice"
	s.VirtualClusters = []config.VirtualCluster{{
		Name: "edge", VRID: 51, Member: true, Priority: map[string]int{"gw-a": 100, "gw-b": 200}, OwnPriority: 100,
		Peers:      []config.Peer{{Node: "gw-b", Priority: 200, Heartbeat: beside}},
		VirtualMAC: config.VirtualMACAuto, Version: 3, AdvertInterval: 100 * time.Millisecond,
		Addrs: []config.ClusterAddr{{Interface: "ext0", Addr: netip.MustParseAddr("192.0.2.1"), Peers: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
			{Interface: "ext0", Addr: netip.MustParseAddr("2001:db8::1"), Peers: []netip.Addr{netip.MustParseAddr("2001:db8::2")}}},
		Auth: config.Auth{Mode: config.AuthEnforce, Keys: []config.AuthKey{{ID: 1, File: "/etc/sluice/vrrp.key"}}, Send: 1},
		Heartbeat: config.Heartbeat{
			Interface: "hb0", Addr: netip.MustParseAddr("169.254.1.1"), Port: 8021, FlowSyncPort: 8022,
			Interval: 50 * time.Millisecond, Timeout: 150 * time.Millisecond,
		},
		VIPs: []config.VIP{
			{Addr: netip.MustParsePrefix("192.0.2.3/24"), Interface: "ext0"},
			{Addr: netip.MustParsePrefix("2001:db8::3/64"), Interface: "ext0"},
		},
		Pings: []config.Ping{
			{Interface: "ext0", Hosts: []netip.Addr{gate}, Interval: time.Second, Timeout: time.Second},
			{Interface: "int0", Hosts: []netip.Addr{inside, netip.MustParseAddr("10.0.0.51")}, Interval: time.Second, Timeout: time.Second},
		},
	}}
	ext := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}
	f.links[1].Addrs = ext
	f.links = append(f.links, links.Link{Index: 6, Name: "hb0", Addrs: []netip.Prefix{netip.MustParsePrefix("169.254.1.1/31")}})
	f.cards["hb0"] = card{Up: true, MTU: 1500}
	f.arp, f.ndp = []net.HardwareAddr{virtual}, []net.HardwareAddr{six}
	maps.Copy(f.sysctls, map[string]string{"net ipv4 conf all arp_ignore": "0", "net ipv4 conf all arp_filter": "0"})
	f.election = election{
		own:    map[string][]netip.Prefix{"ext0": ext, "int0": f.links[2].Addrs, "hb0": f.links[5].Addrs},
		silent: map[netip.Addr]bool{}, rtt: time.Millisecond, filtered: map[string]bool{},
		keyMode: 0o600, clusterKey: "0123456789ab", written: today.Add(-48 * time.Hour),
		urgent: urgency{true, "real-time priority 50", true},
		virtual: []control.VirtualCluster{{
			Name: "edge", VRID: 51, State: control.VIPBackup,
			Peers:    []control.GatewayPeer{{Node: "gw-b", Addr: netip.AddrPortFrom(beside, 8021), State: control.VIPActive, Alive: true, HearsUs: true}},
			Segments: []control.Segment{{Interface: "ext0", Family: "ipv4", ActiveAddr: netip.MustParseAddr("192.0.2.2")}},
			Pings:    []control.PingItem{{Interface: "ext0", OK: true, Hosts: []control.PingHost{{Addr: gate, OK: true}}}, {Interface: "int0", OK: true}},
		}},
	}
	f.status.Processes = append(f.status.Processes, control.Process{Name: "vip", PID: 77})
	return f, s
}

func TestHealthyPair(t *testing.T) {
	f, s := pair()
	list := examine(t.Context(), s, f, f)
	for _, found := range bad(list) {
		t.Errorf("%+v", found)
	}
	for _, subject := range []string{
		"VIP 192.0.2.3", "VIP 2001:db8::3", "heartbeat of edge", "ping 1 of edge", "ping 2 of edge", "virtual MAC on ext0", "virtual MAC on ext0, IPv6",
		"adverts on ext0", "firewall", "cluster key", "key 1 of edge", "vip process",
	} {
		n := 0
		for _, found := range list {
			if found.Subject == subject {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d findings about %q in %+v", n, subject, list)
		}
	}
}

// No check sends from a virtual MAC: switches would look for the VIPs here.
func TestStrangerIsNoVirtualMAC(t *testing.T) {
	f, s := pair()
	examine(t.Context(), s, f, f)
	if len(f.strangers) == 0 {
		t.Fatal("nothing was sent")
	}
	for _, mac := range f.strangers {
		if len(mac) != 6 || mac[0]&3 != 2 || slices.Equal(mac, virtual) {
			t.Errorf("sent from %s, which is not locally administered", mac)
		}
	}
	if slices.Equal(strangerMAC("ext0", 51), strangerMAC("int0", 51)) || slices.Equal(strangerMAC("ext0", 51), strangerMAC("ext0", 52)) {
		t.Error("two places have one address")
	}
}

// edge changes the one virtual cluster.
func edge(edit func(c *config.VirtualCluster)) func(*fake, *config.Settings) {
	return func(_ *fake, s *config.Settings) { edit(&s.VirtualClusters[0]) }
}

// told changes what the node tells of it.
func told(edit func(c *control.VirtualCluster)) func(*fake, *config.Settings) {
	return func(f *fake, _ *config.Settings) { edit(&f.virtual[0]) }
}

func noNode(f *fake, _ *config.Settings) { f.nodeErr = errors.New("refused") }

// closed is a ruleset that lets nothing in but what a rule lets in.
func closed(expr string) string {
	rule := ""
	if expr != "" {
		rule = fmt.Sprintf(`,{"rule":{"family":"inet","table":"f","chain":"in","handle":4,"expr":[%s,{"accept":null}]}}`, expr)
	}
	return `{"nftables":[{"chain":{"family":"inet","table":"f","name":"in","hook":"input","prio":0,"policy":"drop"}}` + rule + `]}`
}

func isL4(protocol int) string {
	return fmt.Sprintf(`{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":%d}}`, protocol)
}

var electionAilments = []ailment{
	{"VIP on a missing interface", edge(func(c *config.VirtualCluster) { c.VIPs[0].Interface = "eth7" }),
		Fail, "VIP 192.0.2.3", "belongs on eth7", "virtual_clusters.vips.interface"},
	{"VIP of no network", edge(func(c *config.VirtualCluster) { c.VIPs[0].Interface = "int0" }),
		Fail, "VIP 192.0.2.3", "in no network of int0 (10.0.0.1/24)", "in that network"},
	{"no own address", func(f *fake, _ *config.Settings) { f.own["ext0"] = f.own["ext0"][:1] },
		Fail, "VIP 2001:db8::3", "ext0 has no IPv6 address of its own", "ip address add ADDRESS/64 dev ext0"},
	{"other length", edge(func(c *config.VirtualCluster) { c.VIPs[0].Addr = netip.MustParsePrefix("192.0.2.3/25") }),
		Warn, "VIP 192.0.2.3", "/25 in the settings, and the network of ext0 /24", "length"},
	{"VIP is an own address", func(f *fake, _ *config.Settings) {
		f.own["int0"] = append(f.own["int0"], netip.MustParsePrefix("192.0.2.3/32"))
	}, Fail, "VIP 192.0.2.3", "is an address of int0 itself", "ip address del 192.0.2.3/32 dev int0"},
	{"two have the VIP", func(f *fake, _ *config.Settings) { f.arp = []net.HardwareAddr{virtual, redMAC} },
		Fail, "VIP 192.0.2.3", "00:00:5e:00:01:33 and 02:00:00:00:00:0c on the network of ext0 have it", "show vips"},
	{"a stranger has the VIP", func(f *fake, _ *config.Settings) { f.arp = []net.HardwareAddr{redMAC} },
		Fail, "VIP 192.0.2.3", "had by 02:00:00:00:00:0c, which is not the virtual MAC 00:00:5e:00:01:33", "same settings"},
	{"VIP here and there", func(f *fake, _ *config.Settings) {
		f.links = append(f.links, links.Link{Index: 9, Name: "vip51-0123abcd", Kind: "macvlan", Parent: 2, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.3/32")}})
	}, Fail, "VIP 192.0.2.3", "is here, and 00:00:5e:00:01:33 on the network of ext0 has it, too", "two are active"},

	{"two have the IPv6 VIP", func(f *fake, _ *config.Settings) { f.ndp = []net.HardwareAddr{six, redMAC} },
		Fail, "VIP 2001:db8::3", "00:00:5e:00:02:33 and 02:00:00:00:00:0c on the network of ext0 have it", "show vips"},
	{"a stranger has the IPv6 VIP", func(f *fake, _ *config.Settings) { f.ndp = []net.HardwareAddr{virtual} },
		Fail, "VIP 2001:db8::3", "had by 00:00:5e:00:01:33, which is not the virtual MAC 00:00:5e:00:02:33", "same settings"},
	{"IPv6 VIP here and there", func(f *fake, _ *config.Settings) {
		f.links = append(f.links, links.Link{Index: 9, Name: "vip51-0123abcd", Kind: "macvlan", Parent: 2, Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8::3/128")}})
	}, Fail, "VIP 2001:db8::3", "is here, and 00:00:5e:00:02:33 on the network of ext0 has it, too", "two are active"},

	{"no heartbeat", edge(func(c *config.VirtualCluster) { c.Heartbeat = config.Heartbeat{} }),
		Warn, "heartbeat of edge", "there is none", "add heartbeat"},
	{"heartbeat without interface", func(f *fake, _ *config.Settings) { f.links = f.links[:5] },
		Fail, "heartbeat of edge", "hb0 is no interface", "heartbeat.interface"},
	{"heartbeat without address", func(f *fake, _ *config.Settings) { f.links[5].Addrs = nil },
		Fail, "heartbeat of edge", "hb0 does not have the address 169.254.1.1", "ip address add 169.254.1.1/LENGTH dev hb0"},
	{"heartbeat down", func(f *fake, _ *config.Settings) { f.cards["hb0"] = card{} },
		Fail, "heartbeat of edge", "hb0 is down", "ip link set hb0 up"},
	{"heartbeat beside VIPs", func(f *fake, s *config.Settings) {
		s.VirtualClusters[0].Heartbeat.Interface, s.VirtualClusters[0].Heartbeat.Addr = "ext0", netip.MustParseAddr("192.0.2.1")
	}, Warn, "heartbeat of edge", "one cable cuts both", "link of its own"},
	{"peer silent", told(func(c *control.VirtualCluster) { c.Peers[0].Alive = false; c.State = control.VIPActive }),
		Fail, "heartbeat of edge", "nothing is heard of gw-b", "UDP port 8021"},
	{"one way", told(func(c *control.VirtualCluster) { c.Peers[0].HearsUs = false }),
		Fail, "heartbeat of edge", "gw-b is heard, but does not hear this gateway", "one way"},
	{"loss", told(func(c *control.VirtualCluster) { c.Peers[0].LossOut = 0.25 }),
		Warn, "heartbeat of edge", "25% on the way there", "cable"},
	{"node without a vip process", func(f *fake, _ *config.Settings) {
		f.virtualErr, f.virtual = errors.New("the vip process does not answer"), nil
	}, Warn, "node", "answers in part: the vip process does not answer", "log"},

	{"ping by a missing interface", edge(func(c *config.VirtualCluster) { c.Pings[0].Interface = "eth7" }),
		Fail, "ping 1 of edge", "leaves by eth7", "pings.interface"},
	{"ping of a VIP", edge(func(c *config.VirtualCluster) { c.Pings[0].Hosts = []netip.Addr{vip.Addr()} }),
		Fail, "ping 1 of edge", "192.0.2.3 is a VIP", "always up"},
	{"ping of this machine", edge(func(c *config.VirtualCluster) { c.Pings[0].Hosts = []netip.Addr{netip.MustParseAddr("10.0.0.1")} }),
		Fail, "ping 1 of edge", "10.0.0.1 is an address of int0 here", "always up"},
	{"ping of the other gateway", edge(func(c *config.VirtualCluster) { c.Pings[0].Hosts = []netip.Addr{netip.MustParseAddr("192.0.2.2")} }),
		Fail, "ping 1 of edge", "192.0.2.2 is an address of gw-b", "always up"},
	{"one host silent", func(f *fake, _ *config.Settings) { f.silent[inside] = true },
		Warn, "ping 2 of edge", "10.0.0.50 does not answer by int0", "always up"},
	{"all hosts silent", func(f *fake, _ *config.Settings) { f.silent[gate] = true },
		Fail, "ping 1 of edge", "no host of it answers by ext0", "correct the hosts"},
	{"slow", edge(func(c *config.VirtualCluster) { c.Pings[0].Timeout = time.Millisecond }),
		Warn, "ping 1 of edge", "took 1ms of the 1ms", "longer timeout"},
	{"flaps", told(func(c *control.VirtualCluster) { c.Pings[0].Hosts[0].Flaps = 3 }),
		Warn, "ping 1 of edge", "192.0.2.254 went silent 3 times", "larger fall"},

	{"virtual MAC filtered", func(f *fake, _ *config.Settings) { f.filtered["ext0"] = true },
		Fail, "virtual MAC on ext0", "192.0.2.2 answers the MAC address of ext0, but no other one", "port security"},
	{"virtual MAC filtered, IPv6", func(f *fake, _ *config.Settings) { f.filtered["ext0, IPv6"] = true },
		Fail, "virtual MAC on ext0, IPv6", "2001:db8::2 answers the MAC address of ext0, but no other one", "port security"},
	{"virtual MAC filtered by VMware", func(f *fake, _ *config.Settings) {
		f.filtered["ext0"], f.platform = true, platformVMware
	}, Fail, "virtual MAC on ext0", "something filters; this machine runs on VMware", "forged transmits"},
	{"no macvlan", func(f *fake, _ *config.Settings) { f.macvlanErr = errors.New("no macvlan can be made: busy") },
		Fail, "virtual MAC on ext0", "busy", "virtual_mac: off"},
	{"stranger not allowed", func(f *fake, _ *config.Settings) { f.strangerErr = errors.New("no memory") },
		Warn, "virtual MAC on ext0", "no memory", "root"},
	{"arp_ignore", func(f *fake, _ *config.Settings) { f.sysctls["net ipv4 conf all arp_ignore"] = "8" },
		Fail, "virtual MAC on ext0", "all.arp_ignore is 8", "arp_ignore=1"},
	{"arp_filter", func(f *fake, _ *config.Settings) { f.sysctls["net ipv4 conf all arp_filter"] = "1" },
		Fail, "virtual MAC on ext0", "all.arp_filter is 1", "arp_filter=0"},

	{"adverts eaten", told(func(c *control.VirtualCluster) { c.Segments[0].ActiveAddr = netip.Addr{} }),
		Fail, "adverts on ext0", "no ipv4 advert of gw-b is heard", "IGMP"},
	{"unicast adverts eaten", func(f *fake, s *config.Settings) {
		s.VirtualClusters[0].Unicast = true
		f.virtual[0].Segments[0].ActiveAddr = netip.Addr{}
	}, Fail, "adverts on ext0", "no ipv4 advert of gw-b is heard", "protocol 112 pass between"},
	{"adverts dropped", func(f *fake, _ *config.Settings) {
		f.rules = closedBut(isL4(17), isL4(6))
	}, Fail, "firewall", "the policy of chain inet f in drops adverts that come by ext0", `meta l4proto 112 iifname "ext0" accept`},
	{"heartbeats dropped", func(f *fake, _ *config.Settings) { f.rules = closedBut(isL4(112), isL4(6)) },
		Fail, "firewall", "drops heartbeats that come by hb0 (udp dport 8021)", `udp dport 8021 iifname "hb0" accept`},
	{"flow sync dropped", func(f *fake, _ *config.Settings) { f.rules = closedBut(isL4(112), isL4(17)) },
		Fail, "firewall", "drops flow sync that come by hb0 (tcp dport 8022)", `tcp dport 8022 iifname "hb0" accept`},

	{"adverts dropped by legacy rules", func(f *fake, _ *config.Settings) {
		f.legacy = []legacyTables{{Names: []string{"filter"}, Saved: []byte("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p vrrp -j DROP\nCOMMIT\n")}}
	}, Fail, "legacy iptables", "rule 1 of ip filter INPUT drops adverts that come by ext0", "iptables-legacy -I INPUT -i ext0 -p 112 -j ACCEPT"},
	{"IPv6 adverts dropped by legacy rules, without nft", func(f *fake, _ *config.Settings) {
		f.rules = ""
		f.legacy = []legacyTables{{IPv6: true, Names: []string{"filter"}, Saved: []byte("*filter\n:INPUT DROP [0:0]\nCOMMIT\n")}}
	}, Fail, "legacy iptables", "the policy of chain ip6 filter INPUT drops adverts that come by ext0", "ip6tables-legacy -I INPUT -i ext0 -p 112 -j ACCEPT"},
	{"flow sync dropped by legacy rules", func(f *fake, _ *config.Settings) {
		f.legacy = []legacyTables{{Names: []string{"filter"}, Saved: []byte("*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -m tcp --dport 8022 -j REJECT\nCOMMIT\n")}}
	}, Fail, "legacy iptables", "rule 1 of ip filter OUTPUT drops flow sync that leave by hb0 (tcp dport 8022)", "iptables-legacy -I OUTPUT -o hb0 -p tcp --dport 8022 -j ACCEPT"},
	{"legacy rules that cannot be read", func(f *fake, _ *config.Settings) {
		f.legacy = []legacyTables{{Names: []string{"filter", "raw"}, Fault: "iptables-legacy-save is not installed"}}
	}, Warn, "legacy iptables", "iptables-legacy has tables (filter, raw), which nft does not show: what they drop is not known: iptables-legacy-save is not installed", "iptables-legacy-save, of package iptables"},
	{"legacy rules that are none", func(f *fake, _ *config.Settings) {
		f.legacy = []legacyTables{{Names: []string{"filter"}, Saved: []byte("what")}}
	}, Warn, "legacy iptables", "line 1: it is in no table", "see yourself"},
	{"legacy tables not to be listed", func(f *fake, _ *config.Settings) { f.legacyEr = errors.New("permission denied") },
		Warn, "legacy iptables", "permission denied", "root"},

	{"no cluster key", func(f *fake, _ *config.Settings) { f.clusterErr = fmt.Errorf("read: %w", fs.ErrNotExist) },
		Warn, "cluster key", "there is none in /var/lib/sluice", "copy cluster.key"},
	{"bad cluster key", func(f *fake, _ *config.Settings) { f.clusterErr = errors.New("31 bytes instead of 32") },
		Fail, "cluster key", "31 bytes", "copy cluster.key"},
	{"young cluster key", func(f *fake, _ *config.Settings) {
		f.written = today.Add(-59 * time.Minute)
		f.virtual = nil
	}, Warn, "cluster key", "0123456789ab, written less than an hour ago", "compare"},
	{"no key file", func(f *fake, _ *config.Settings) { f.keyErr = fs.ErrNotExist },
		Fail, "key 1 of edge", "/etc/sluice/vrrp.key: file does not exist", "same key"},
	{"key for all to read", func(f *fake, _ *config.Settings) { f.keyMode = 0o640 },
		Fail, "key 1 of edge", "mode 0640", "chmod 600 /etc/sluice/vrrp.key"},
	{"key not readable", func(f *fake, _ *config.Settings) { f.keyErr = fs.ErrPermission },
		Warn, "key 1 of edge", "permission", "root"},
	{"clock and proof", func(f *fake, _ *config.Settings) { f.clock = false },
		Fail, "clock", "adverts of virtual cluster edge prove themselves", "chrony"},
	{"clock and proof that is not enforced", func(f *fake, s *config.Settings) {
		f.clock, s.VirtualClusters[0].Auth.Mode = false, config.AuthPermissive
	}, Warn, "clock", "adverts of virtual cluster edge prove themselves", "chrony"},

	{"vip process of no rank", func(f *fake, _ *config.Settings) { f.urgent = urgency{false, "normal priority, nice 0", true} },
		Warn, "vip process", "runs with normal priority, nice 0", "CAP_SYS_NICE"},
	{"vip process in memory that may go", func(f *fake, _ *config.Settings) { f.urgent.Locked = false },
		Warn, "vip process", "not locked", "LimitMEMLOCK=infinity"},
	{"no vip process", func(f *fake, _ *config.Settings) { f.status.Processes = f.status.Processes[:2] },
		Fail, "vip process", "there is none", "log"},
	{"keepalived with our VRID", func(f *fake, _ *config.Settings) {
		f.keepaliveds = []keepalived{{PID: 9, File: "/k.conf", Routers: []virtualRouter{{"int0", 51}, {"ext0", 51}}}}
	}, Fail, "keepalived", "process 9 holds VRID 51 on ext0, too, by /k.conf", "import keepalived"},
	{"keepalived of unknown settings", func(f *fake, _ *config.Settings) {
		f.keepaliveds = []keepalived{{PID: 9, Fault: "includes other files"}}
	}, Warn, "keepalived", "is not known: includes other files", "none of ours"},
	{"no /proc", func(f *fake, _ *config.Settings) { f.keepaliveErr = errors.New("no proc") },
		Warn, "keepalived", "no proc", "/proc"},
}

// closedBut is a chain that lets in what two matches say.
func closedBut(a, b string) string {
	second := strings.TrimPrefix(closed(b), closed("")[:len(closed(""))-2])
	return closed(a)[:len(closed(a))-2] + second
}

func TestElectionAilments(t *testing.T) {
	for _, a := range electionAilments {
		t.Run(a.name, func(t *testing.T) {
			f, s := pair()
			a.harm(f, s)
			found := bad(examine(t.Context(), s, f, f))
			hits := 0
			for _, got := range found {
				switch {
				case got.Level == a.level && got.Subject == a.subject && strings.Contains(got.Text, a.text) && strings.Contains(got.Hint, a.hint):
					hits++
				case !electionFollows(a.name, got):
					t.Errorf("also found: %+v", got)
				}
			}
			if hits != 1 {
				t.Errorf("%s %q about %q with hint %q: found %d times among %+v", a.level, a.text, a.subject, a.hint, hits, found)
			}
		})
	}
}

// electionFollows says that a finding is a true consequence of the ailment.
func electionFollows(ailment string, f Finding) bool {
	switch ailment {
	case "all hosts silent":
		return f.Subject == "ping 1 of edge" && strings.Contains(f.Text, "192.0.2.254 does not answer")
	case "no macvlan", "stranger not allowed":
		return f.Subject == "virtual MAC on ext0, IPv6"
	case "node without a vip process":
		return strings.HasPrefix(f.Subject, "return path")
	}
	return false
}

// What is no ailment, though it looks like one.
func TestNoElectionAilments(t *testing.T) {
	for name, change := range map[string]func(*fake, *config.Settings){
		"an active one hears no other": told(func(c *control.VirtualCluster) { c.State, c.Segments[0].ActiveAddr = control.VIPActive, netip.Addr{} }),
		"frames pass no output chain": func(f *fake, _ *config.Settings) {
			f.rules = strings.Replace(closedBut(isL4(17), isL4(6)), `"hook":"input"`, `"hook":"output"`, 1)
		},
		"no virtual MAC": func(f *fake, s *config.Settings) {
			s.VirtualClusters[0].VirtualMAC = config.VirtualMACOff
			f.arp, f.ndp, f.macvlanErr = []net.HardwareAddr{redMAC}, []net.HardwareAddr{redMAC}, errors.New("asked")
		},
		"keepalived of other routers": func(f *fake, _ *config.Settings) {
			f.keepaliveds = []keepalived{{PID: 9, Routers: []virtualRouter{{"ext0", 52}, {"spare", 51}}}}
		},
		"legacy rules that let all in": func(f *fake, _ *config.Settings) {
			f.legacy = []legacyTables{{Names: []string{"filter"}, Saved: []byte("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")}}
		},
		"a host of another item": told(func(c *control.VirtualCluster) { c.Pings = c.Pings[:1] }),
		"alone": func(f *fake, s *config.Settings) {
			c := &s.VirtualClusters[0]
			c.Peers, c.Heartbeat, f.rules = nil, config.Heartbeat{}, closed("")
			f.clusterErr = errors.New("asked")
		},
	} {
		f, s := pair()
		change(f, s)
		for _, found := range bad(examine(t.Context(), s, f, f)) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// Without a node the gateway is looked at all the same.
func TestPairWithoutNode(t *testing.T) {
	f, s := pair()
	noNode(f, s)
	f.silent[beside] = true
	want := map[string]string{
		"node": "no node answers", "return path of seen": "without a running node", "heartbeat of edge": "gw-b at 169.254.1.0 does not answer pings",
	}
	for _, got := range bad(examine(t.Context(), s, f, f)) {
		if !strings.Contains(got.Text, want[got.Subject]) || want[got.Subject] == "" {
			t.Errorf("%+v", got)
		}
		delete(want, got.Subject)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
}

// A gateway that nobody can be asked on says that it does not know.
func TestNobodyToAsk(t *testing.T) {
	f, s := pair()
	f.arp, f.ndp = nil, nil
	found := bad(examine(t.Context(), s, f, f))
	if len(found) != 2 || found[0].Level != Warn || !strings.Contains(found[0].Text, "no neighbour answers ARP") ||
		found[1].Level != Warn || !strings.Contains(found[1].Text, "no neighbour answers neighbour discovery") {
		t.Errorf("%+v", found)
	}
	f, s = pair()
	f.arpErr = syscall.EPERM
	for _, got := range bad(examine(t.Context(), s, f, f)) {
		if got.Level != Warn || !strings.Contains(got.Hint, "root") {
			t.Errorf("%+v", got)
		}
	}
}

// Settings without virtual clusters are not asked about them.
func TestNoElection(t *testing.T) {
	f, s := pair()
	s.VirtualClusters[0].Member = false
	f.links[1].Addrs = append(f.links[1].Addrs, netip.MustParsePrefix("192.0.2.3/32"))
	f.virtualErr, f.clusterErr, f.keyErr = errors.New("asked"), errors.New("asked"), errors.New("asked")
	f.keepaliveErr, f.macvlanErr, f.pingErr, f.urgentErr = errors.New("asked"), errors.New("asked"), errors.New("asked"), errors.New("asked")
	for _, found := range bad(examine(t.Context(), s, f, f)) {
		t.Errorf("%+v", found)
	}
}
