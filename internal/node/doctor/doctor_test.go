package doctor

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/links"
	"sluice/internal/node/process"
	"sluice/loader"
	"sluice/steering/health"
)

func TestHealthyMachine(t *testing.T) {
	f, s := healthy()
	list := examine(t.Context(), s, f, f)
	for _, found := range bad(list) {
		t.Errorf("%+v", found)
	}
	subjects := make(map[string]bool)
	for _, found := range list {
		subjects[found.Subject] = true
		if found.Hint != "" {
			t.Errorf("a pass has the hint %q", found.Hint)
		}
	}
	for _, subject := range []string{
		"node", "capabilities", "kernel", "bpffs", "clock", "interface ext0", "interface int0", "forwarding int0",
		"rp_filter ext0", "source ports", "VIP 192.0.2.3", "backend blue", "backend red", "return path of seen",
		"dsr fast at blue", "dsr fast at red", "nftables",
	} {
		if !subjects[subject] {
			t.Errorf("nothing is said about %q", subject)
		}
	}
}

// ailment is one thing that goes wrong on a healthy machine, and the one
// finding it must lead to.
type ailment struct {
	name    string
	harm    func(f *fake, s *config.Settings)
	level   Level
	subject string
	text    string
	hint    string
}

// behindHeaders has a service write PROXY headers, and blue do something with
// them.
func behindHeaders(f *fake, s *config.Settings, check config.HealthCheckType, blueDoes error) {
	s.Services = s.Services[:2]
	s.Services[0].ClientAddress, s.Services[0].HealthCheck.Type = config.ClientProxyV2, check
	f.reads = map[netip.AddrPort]error{blue: blueDoes}
}

func change(f *fake, name string, edit func(c *card)) {
	c := f.cards[name]
	edit(&c)
	f.cards[name] = c
}

var ailments = []ailment{
	{"no node", func(f *fake, _ *config.Settings) {
		f.nodeErr = errors.New("reach node: refused")
		f.rights.Effective = process.NodeCaps
		f.services = nil
	}, Warn, "node", "no node answers: reach node: refused", "sluice run"},
	{"node in part", func(f *fake, _ *config.Settings) { f.partErr = errors.New("boom") },
		Warn, "node", "in part: boom", "log"},
	{"alarm", func(f *fake, _ *config.Settings) {
		f.status.Alarms = []control.Alarm{{Severity: "critical", Subject: "service login", Text: "no backend is up", Hint: "start one"}}
	}, Fail, "service login", "no backend is up", "start one"},
	{"too many rights", func(f *fake, _ *config.Settings) {
		f.status.Processes[1].Capabilities.Effective = append([]string{"cap_chown"}, fullCaps...)
	}, Warn, "capabilities", "cap_chown", "sluice run"},
	{"too few rights", func(f *fake, _ *config.Settings) {
		f.status.Processes[1].Capabilities.Effective = fullCaps[1:]
	}, Warn, "capabilities", "cap_net_raw", "sluice run"},
	{"feature missing", func(f *fake, _ *config.Settings) {
		f.features = append(f.features, loader.Feature{Name: "bounded loops", Since: "5.3", Err: ebpf.ErrNotSupported})
	}, Fail, "kernel", "lacks bounded loops", "Linux 5.3"},
	{"feature unknown", func(f *fake, _ *config.Settings) {
		f.features = append(f.features, loader.Feature{Name: "bounded loops", Err: errors.New("not permitted")})
	}, Warn, "kernel", "cannot tell whether it has bounded loops: not permitted", "root"},
	{"bpffs of another namespace", func(f *fake, _ *config.Settings) { f.ours = false }, Fail, "bpffs", "vanish", "nsenter"},
	{"no bpffs, own namespace", func(f *fake, _ *config.Settings) { f.on, f.ours = false, false }, Fail, "bpffs", "is on none", "mount -t bpf"},
	{"bpffs unknown", func(f *fake, _ *config.Settings) { f.bpffsErr = errors.New("denied") }, Warn, "bpffs", "denied", "root"},
	{"clock", func(f *fake, _ *config.Settings) { f.clock = false }, Warn, "clock", "not synchronised", "chrony"},
	{"clock unknown", func(f *fake, _ *config.Settings) { f.clockErr = errors.New("denied") }, Warn, "clock", "denied", "time"},

	{"interface down", func(f *fake, _ *config.Settings) { change(f, "ext0", func(c *card) { c.Up = false }) },
		Fail, "interface ext0", "is down", "ip link set ext0 up"},
	{"interface without card", func(f *fake, _ *config.Settings) { delete(f.cards, "ext0") },
		Fail, "interface ext0", "no card", "dataplane.interfaces"},
	{"other XDP program", func(f *fake, _ *config.Settings) {
		change(f, "ext0", func(c *card) { c.Program = &program{7, "xdp_dispatcher"} })
	}, Fail, "interface ext0", `"xdp_dispatcher" (id 7)`, "ip link set ext0 xdp off"},
	{"XDP program without a name", func(f *fake, _ *config.Settings) {
		change(f, "ext0", func(c *card) { c.Program = &program{ID: 7} })
	}, Warn, "interface ext0", "id 7", "root"},
	{"driver cannot", func(f *fake, _ *config.Settings) {
		change(f, "ext0", func(c *card) { c.Native = false })
	}, Warn, "interface ext0", "no native XDP", "another card"},
	{"driver cannot but must", func(f *fake, s *config.Settings) {
		s.Dataplane.XDP = config.XDPNative
		change(f, "ext0", func(c *card) { c.Native = false })
	}, Fail, "interface ext0", "no native XDP", "generic"},
	{"driver unknown, kernel silent", func(f *fake, _ *config.Settings) {
		change(f, "ext0", func(c *card) { c.Told, c.Driver = false, "e1000" })
	}, Warn, "interface ext0", "driver e1000 has no native XDP", "another card"},
	{"MTU", func(f *fake, _ *config.Settings) { change(f, "ext0", func(c *card) { c.MTU = 9000 }) },
		Warn, "interface ext0", "MTU 9000 is over the 3498", "mtu 3498"},
	{"MTU of a veth", func(f *fake, _ *config.Settings) { change(f, "int0", func(c *card) { c.MTU = 3507 }) },
		Warn, "interface int0", "MTU 3507 is over the 3506", "ip link set int0 mtu 3506"},
	{"MTU of the far end", func(f *fake, _ *config.Settings) { change(f, "int0", func(c *card) { c.PeerMTU = 3507 }) },
		Warn, "interface int0", "far0 has MTU 3507", "ip link set far0 mtu 3506"},
	{"queues of the far end", func(f *fake, _ *config.Settings) { change(f, "int0", func(c *card) { c.PeerTXQueues = 8 }) },
		Warn, "interface int0", "4 receive queues for the 8", "ethtool -L far0 tx 4"},
	{"one queue", func(f *fake, _ *config.Settings) { change(f, "ext0", func(c *card) { c.RXQueues = 1 }) },
		Warn, "interface ext0", "of 4 processors one", "ethtool -L"},
	{"VLAN tags taken off", func(f *fake, _ *config.Settings) { change(f, "int0", func(c *card) { c.Untags = true }) },
		Warn, "interface int0", "tags of int0.7", "rxvlan off"},
	{"LRO", func(f *fake, _ *config.Settings) { change(f, "ext0", func(c *card) { c.LRO = true }) },
		Warn, "interface ext0", "large receive offload", "ethtool -K ext0 lro off"},
	{"GRO and generic", func(f *fake, s *config.Settings) {
		s.Dataplane.XDP = config.XDPGeneric
		change(f, "ext0", func(c *card) { c.GRO = true })
	}, Warn, "interface ext0", "generic receive offload", "ethtool -K ext0 gro off"},
	{"takes no redirected frames", func(f *fake, _ *config.Settings) { change(f, "int0", func(c *card) { c.Redirect = false }) },
		Warn, "interface int0", "are lost", "GRO"},
	{"checksums of the far end", func(f *fake, _ *config.Settings) { change(f, "int0", func(c *card) { c.PeerTXChecksum = true }) },
		Warn, "interface int0", "leaves checksums", "ethtool -K far0 tx off"},
	{"far end abroad", func(f *fake, _ *config.Settings) { change(f, "int0", func(c *card) { c.PeerHere = false }) },
		Warn, "interface int0", "another namespace", "tx-checksumming"},

	{"forwarding off", func(f *fake, _ *config.Settings) { f.sysctls["net ipv4 conf int0 forwarding"] = "0" },
		Fail, "forwarding int0", "IPv4 forwarding is off", "net/ipv4/conf/int0/forwarding=1"},
	{"forwarding unknown", func(f *fake, _ *config.Settings) { delete(f.sysctls, "net ipv4 conf int0 forwarding") },
		Warn, "forwarding int0", "no sysctl", "IPv4"},
	{"strict on the interface", func(f *fake, _ *config.Settings) { f.sysctls["net ipv4 conf ext0 rp_filter"] = "1" },
		Warn, "rp_filter ext0", "strict", "rp_filter=2"},
	{"reverse path unknown", func(f *fake, _ *config.Settings) { delete(f.sysctls, "net ipv4 conf ext0 rp_filter") },
		Warn, "rp_filter ext0", "no sysctl", "/proc/sys"},
	{"few ports", func(f *fake, _ *config.Settings) { f.ports = 100 }, Warn, "source ports", "leaves 100", "ip_local_port_range"},
	{"no ports", func(f *fake, _ *config.Settings) { f.portsErr = errors.New("nothing left") },
		Fail, "source ports", "nothing left", "ip_local_port_range"},

	{"VIP is nobody's", func(f *fake, _ *config.Settings) { f.links[1].Addrs = f.links[1].Addrs[:1] },
		Fail, "VIP 192.0.2.3", "network of ext0", "ip address add 192.0.2.3/32 dev ext0"},

	{"no route", func(f *fake, _ *config.Settings) { delete(f.ways, blue.Addr()) },
		Fail, "backend blue", "no route to 10.0.0.11", "route"},
	{"route unknown", func(f *fake, _ *config.Settings) { f.wayErr = errors.New("denied") },
		Warn, "backend blue", "denied", "root"},
	{"way without XDP", func(f *fake, _ *config.Settings) { f.ways[blue.Addr()] = way{Link: "spare", MAC: blueMAC} },
		Fail, "backend blue", "reached by spare", "add spare to dataplane.interfaces"},
	{"next hop silent", func(f *fake, _ *config.Settings) { f.ways[blue.Addr()] = way{Link: "int0", Failed: true} },
		Fail, "backend blue", "nobody answers for 10.0.0.11 on int0", "up"},
	{"next hop unknown", func(f *fake, _ *config.Settings) { f.ways[blue.Addr()] = way{Link: "int0"} },
		Warn, "backend blue", "MAC address of the next hop 10.0.0.11", "up"},
	{"refused", func(f *fake, s *config.Settings) {
		s.Services = s.Services[:2]
		f.connect = map[netip.AddrPort]error{blue: syscall.ECONNREFUSED}
	}, Fail, "backend blue", "10.0.0.11:22 refuses connections", "SSH server"},
	{"silent", func(f *fake, s *config.Settings) {
		s.Services = s.Services[:2]
		f.connect = map[netip.AddrPort]error{blue: errors.New("timeout")}
	}, Fail, "backend blue", "10.0.0.11:22: timeout", "filter"},
	{"refused under dsr", func(f *fake, _ *config.Settings) {
		f.connect = map[netip.AddrPort]error{blue: syscall.ECONNREFUSED}
	}, Warn, "backend blue", "refuses connections", "VIP alone"},
	{"does not read headers", func(f *fake, s *config.Settings) {
		behindHeaders(f, s, config.HealthCheckSSH, health.ErrNoProxy)
	}, Fail, "backend blue", "does not accept PROXY v2", "accept-proxy"},
	{"OpenSSH checked by TCP", func(f *fake, s *config.Settings) {
		behindHeaders(f, s, config.HealthCheckTCP, health.ErrNoProxy)
		f.greeting = "SSH-2.0-OpenSSH_10.0"
	}, Fail, "backend blue", "does not accept PROXY v2", "accept-proxy"},
	{"headers not answered", func(f *fake, s *config.Settings) {
		behindHeaders(f, s, config.HealthCheckSSH, errors.New("timeout"))
	}, Warn, "backend blue", "not known: timeout", "check --probe"},
	{"down by health check", func(f *fake, s *config.Settings) {
		s.Services = s.Services[:2]
		f.backends[0].State, f.backends[0].Reason = control.StateDown, "no banner"
	}, Fail, "backend blue", "down by its health check: no banner", "show backends"},

	{"no return path", func(f *fake, _ *config.Settings) { f.services[0].NoReturnPath = 12 },
		Fail, "return path of seen", "12 connection attempts", "default route"},
	{"return path not proven", func(f *fake, _ *config.Settings) { f.services[0].FlowsOpened = 0 },
		Warn, "return path of seen", "no connection has been made", "connect once"},
	{"backend behind a router", func(f *fake, s *config.Settings) {
		s.Services = s.Services[:2]
		f.ways[blue.Addr()] = way{Link: "int0", MAC: blueMAC, Gateway: netip.MustParseAddr("10.0.0.254")}
	}, Warn, "return path of seen", "blue is behind the router 10.0.0.254", "that router"},

	{"dsr behind a router", func(f *fake, s *config.Settings) {
		s.Services = s.Services[2:]
		f.ways[blue.Addr()] = way{Link: "int0", MAC: blueMAC, Gateway: netip.MustParseAddr("10.0.0.254")}
	}, Fail, "dsr fast at blue", "behind the router 10.0.0.254", "mode nat"},
	{"VIP missing on the backend", func(f *fake, _ *config.Settings) {
		f.backends[1].Health, f.backends[1].Reason = "failing", "connect: timeout"
	}, Fail, "dsr fast at red", "does not answer on the VIP: connect: timeout", "ip address add 192.0.2.3/32 dev lo"},
	{"backend answers ARP", func(f *fake, _ *config.Settings) { f.arp = []net.HardwareAddr{{2, 0, 0, 0, 0, 99}, redMAC} },
		Fail, "dsr fast at red", "answers ARP for the VIP 192.0.2.3", "arp_ignore=1"},
	{"ARP not allowed", func(f *fake, s *config.Settings) {
		f.arpErr = syscall.EPERM
		s.Services[2].Backends = s.Services[2].Backends[:1]
	}, Warn, "dsr fast at blue", "CAP_NET_RAW", "root"},
	{"ARP fails", func(f *fake, s *config.Settings) {
		f.arpErr = errors.New("link is gone")
		s.Services[2].Backends = s.Services[2].Backends[:1]
	}, Warn, "dsr fast at blue", "link is gone", "root"},

	{"no room for the outer header", func(f *fake, s *config.Settings) {
		tunnelled(s, "192.0.2.3:22")
		change(f, "int0", func(c *card) { c.MTU = 1527 })
	}, Warn, "gue login at blue", "the MTU 1527 of int0 leaves 1499 bytes", "advmss 1459"},
	{"no room for IPv6 inside", func(f *fake, s *config.Settings) {
		tunnelled(s, "[2001:db8::3]:22")
		f.links[1].Addrs = append(f.links[1].Addrs, netip.MustParsePrefix("2001:db8::3/128"))
		change(f, "int0", func(c *card) { c.MTU = 1300 })
	}, Fail, "gue login at blue", "leaves 1272 bytes behind the outer header, less than IPv6", "mtu 1528"},
	{"nothing takes packets out", func(f *fake, s *config.Settings) {
		tunnelled(s, "192.0.2.3:22")
		change(f, "int0", func(c *card) { c.MTU = 1600 })
		f.backends[0].Health, f.backends[0].Reason = "failing", "connect: timeout"
	}, Fail, "gue login at blue", "does not answer on the VIP: connect: timeout", "dataplane.decap"},
	{"tunnel's backend answers ARP", func(f *fake, s *config.Settings) {
		tunnelled(s, "192.0.2.3:22")
		change(f, "int0", func(c *card) { c.MTU = 1600 })
		f.arp = []net.HardwareAddr{blueMAC}
	}, Fail, "gue login at blue", "answers ARP for the VIP", "arp_ignore=1"},

	{"taken out on no interface", func(f *fake, s *config.Settings) {
		takesOut(f, s)
		s.Dataplane.Decap.Interfaces = []string{"eth7"}
	}, Fail, "interface eth7", "no card", "dataplane.decap.interfaces"},
	{"taken out for nobody", func(f *fake, s *config.Settings) {
		takesOut(f, s)
		s.Dataplane.Decap.VIPs = append(s.Dataplane.Decap.VIPs, netip.MustParseAddr("2001:db8::9"))
	}, Fail, "VIP 2001:db8::9", "is no address of this machine", "ip address add 2001:db8::9/128 dev lo"},
	{"VIP on the network of a backend", func(f *fake, s *config.Settings) {
		takesOut(f, s)
		f.links[0].Addrs = nil
		f.links[2].Addrs = append(f.links[2].Addrs, netip.MustParsePrefix("192.0.2.9/32"))
	}, Fail, "VIP 192.0.2.9", "is on int0, which answers for it", "dev lo"},
	{"ARP for what is on lo", func(f *fake, s *config.Settings) {
		takesOut(f, s)
		f.sysctls["net ipv4 conf all arp_ignore"] = "0"
	}, Fail, "arp", "arp_ignore is 0", "arp_ignore=1"},
	{"strict filter where packets are taken out", func(f *fake, s *config.Settings) {
		takesOut(f, s)
		f.sysctls["net ipv4 conf int0 rp_filter"] = "1"
	}, Warn, "rp_filter int0", "strict", "rp_filter=2"},

	{"rule without effect", func(f *fake, _ *config.Settings) {
		f.rules = `{"nftables":[{"rule":{"family":"ip","table":"t","chain":"c","handle":9,"expr":[
			{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":"192.0.2.3"}},
			{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":{"range":[22,25]}}}]}}]}`
	}, Warn, "nftables", "rule 9 of ip t c is about 192.0.2.3:22, 192.0.2.3:23, 192.0.2.3:24, which", "nft delete rule ip t c handle 9"},
	{"rules not readable", func(f *fake, _ *config.Settings) { f.rulesErr = errors.New("must be root") }, Warn, "nftables", "must be root", "root"},
	{"rules not understood", func(f *fake, _ *config.Settings) { f.rules = "{" }, Warn, "nftables", "read nft ruleset", "nft list ruleset"},
}

// tunnelled leaves one service, which puts packets into others.
func tunnelled(s *config.Settings, listen string) {
	s.Services = []config.Service{{
		Name: "login", Listen: netip.MustParseAddrPort(listen), Mode: config.ModeGUE,
		Backends: []config.Backend{{Name: "blue", Addr: blue, Weight: 1}},
	}}
	s.Dataplane.Interfaces = []string{"ext0", "int0"}
}

// takesOut makes the machine a backend that takes packets out.
func takesOut(f *fake, s *config.Settings) {
	s.Services, s.Dataplane.Interfaces = nil, nil
	s.Dataplane.Decap = config.Decap{
		Interfaces: []string{"int0"}, From: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.9")},
	}
	f.links[0].Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}
	f.sysctls["net ipv4 conf all arp_ignore"], f.sysctls["net ipv4 conf all arp_announce"] = "1", "2"
	f.sysctls["net ipv4 conf int0 rp_filter"] = "2"
}

// Each ailment is found, once, under its own name, and nothing else is said to
// be wrong because of it.
func TestAilments(t *testing.T) {
	for _, a := range ailments {
		t.Run(a.name, func(t *testing.T) {
			f, s := healthy()
			a.harm(f, s)
			found := bad(examine(t.Context(), s, f, f))
			hits := 0
			for _, got := range found {
				if got.Level == a.level && got.Subject == a.subject && strings.Contains(got.Text, a.text) && strings.Contains(got.Hint, a.hint) {
					hits++
				} else if !follows(a.name, got) {
					t.Errorf("also found: %+v", got)
				}
			}
			if hits != 1 {
				t.Errorf("%s %q about %q with hint %q: found %d times among %+v", a.level, a.text, a.subject, a.hint, hits, found)
			}
		})
	}
}

// follows says that a finding is a true consequence of the ailment.
func follows(ailment string, f Finding) bool {
	switch ailment {
	case "no node", "node in part":
		return f.Subject == "return path of seen" && strings.Contains(f.Text, "without a running node")
	case "route unknown":
		return f.Subject == "backend red"
	}
	return false
}

// A large MTU is no ailment where frames come in pieces.
func TestJumbo(t *testing.T) {
	f, s := healthy()
	change(f, "ext0", func(c *card) { c.MTU, c.Pieces = 9000, true })
	change(f, "int0", func(c *card) { c.MTU, c.PeerMTU, c.Pieces = 9000, 9000, true })
	for _, got := range bad(examine(t.Context(), s, f, f)) {
		t.Errorf("found: %+v", got)
	}
}

func TestNodeWithoutARoot(t *testing.T) {
	f, s := healthy()
	f.nodeErr = errors.New("refused")
	f.rights = process.Status{UID: 1000}
	for _, got := range bad(examine(t.Context(), s, f, f)) {
		if got.Subject == "capabilities" && strings.Contains(got.Text, "missing cap_net_admin,cap_net_raw,cap_perfmon,cap_bpf") {
			return
		}
	}
	t.Error("the missing rights are not named")
}

// Where even the interfaces are wrong, that is all there is to say.
func TestNothingToExamine(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(f *fake, s *config.Settings)
		want string
	}{
		"no netlink":        {func(f *fake, _ *config.Settings) { f.linksErr = errors.New("no netlink") }, "no netlink"},
		"interface missing": {func(_ *fake, s *config.Settings) { s.Dataplane.Interfaces = []string{"eth7"} }, `"eth7"`},
		"backend is own VIP": {func(f *fake, _ *config.Settings) {
			f.links[2].Addrs = append(f.links[2].Addrs, netip.MustParsePrefix("10.0.0.11/32"))
		}, "address of this node"},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := healthy()
			c.harm(f, s)
			found := bad(examine(t.Context(), s, f, f))
			if len(found) != 1 || found[0].Level != Fail || !strings.Contains(found[0].Text, c.want) {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// Many rules are counted, not listed.
func TestManyRules(t *testing.T) {
	f, s := healthy()
	const rule = `{"rule":{"family":"ip","table":"t","chain":"c","handle":HANDLE,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":"192.0.2.3"}}]}}`
	var list []string
	for handle := range strings.SplitSeq("1 2 3 4 5 6 7 8 9 10 11 12 13", " ") {
		list = append(list, strings.Replace(rule, "HANDLE", handle, 1))
	}
	f.rules = `{"nftables":[` + strings.Join(list, ",") + `]}`
	found := bad(examine(t.Context(), s, f, f))
	if len(found) != maxRules+1 || !strings.Contains(found[maxRules].Text, "3 more rules") {
		t.Errorf("found %d: %+v", len(found), found)
	}
}

// A VIP that only routers know is a warning: it may be meant so.
func TestRoutedVIP(t *testing.T) {
	f, s := healthy()
	f.links[1].Addrs = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}
	f.routes[netip.MustParseAddr("203.0.113.1")] = []int{2}
	found := bad(examine(t.Context(), s, f, f))
	if len(found) != 1 || found[0].Level != Warn || found[0].Subject != "VIP 192.0.2.3" {
		t.Errorf("found %+v", found)
	}
}

func TestWarningsOfTheSelection(t *testing.T) {
	f, s := healthy()
	f.links = append(f.links, links.Link{Index: 9, Name: "x"})
	delete(f.routes, blue.Addr())
	found := bad(examine(t.Context(), s, f, f))
	if len(found) != 3 || found[0].Subject != "interfaces" { // three services name it
		t.Errorf("found %+v", found)
	}
}
