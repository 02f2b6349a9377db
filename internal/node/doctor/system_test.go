package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"sluice/internal/nettest"
	"sluice/internal/node/doctor/nft"
)

// site is a gateway with a backend behind it, in two namespaces.
type site struct{ gw, backend *nettest.Namespace }

func newSite(t *testing.T) site {
	t.Helper()
	s := site{nettest.ForTest(t), nettest.ForTest(t)}
	for _, err := range []error{
		nettest.Veth(s.gw, "int0", s.backend, "eth0"),
		s.gw.AddAddr("int0", netip.MustParsePrefix("10.0.0.1/24")),
		s.backend.AddAddr("eth0", netip.MustParsePrefix("10.0.0.11/24")),
		s.gw.SetDefaultRoute(netip.MustParseAddr("10.0.0.254")),
		s.gw.Settled(t.Context()), s.backend.Settled(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// inside runs a check of the gateway's namespace.
func (s site) inside(t *testing.T, fn func()) {
	t.Helper()
	if err := s.gw.Do(func() error { fn(); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestCardOfAVeth(t *testing.T) {
	s := newSite(t)
	if err := s.gw.SetMTU("int0", 1400); err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumTxQueues, attrs.NumRxQueues, attrs.MTU = "near0", 2, 3, 3507
	if err := s.gw.Netlink().LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "far0", PeerMTU: 1300}); err != nil {
		t.Fatal(err)
	}
	s.inside(t, func() {
		got, err := system{}.Card("int0")
		if err != nil {
			t.Fatal(err)
		}
		want := card{Up: true, MTU: 1400, Driver: "veth", RXQueues: got.RXQueues, Told: true, Native: true, Redirect: got.Redirect, Pieces: true, Untags: true, Peer: true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("end of a cable to another namespace (-want +got):\n%s", diff)
		}
		near, err := system{}.Card("near0")
		if err != nil {
			t.Fatal(err)
		}
		if near.Up || near.MTU != 3507 || !near.PeerHere || near.PeerName != "far0" || near.PeerMTU != 1300 || !near.PeerTXChecksum || near.PeerTXQueues == 0 {
			t.Errorf("end of a cable within the namespace: %+v", near)
		}
		if _, err := (system{}).Card("eth7"); err == nil {
			t.Error("an interface that is not there has a card")
		}
	})
}

func TestCardNamesTheProgram(t *testing.T) {
	nettest.Require(t, nettest.BPF)
	s := newSite(t)
	if err := s.gw.AttachPass("int0"); err != nil {
		t.Fatal(err)
	}
	s.inside(t, func() {
		got, err := system{}.Card("int0")
		if err != nil {
			t.Fatal(err)
		}
		if got.Program == nil || got.Program.ID == 0 || got.Program.Name == "" {
			t.Errorf("program %+v", got.Program)
		}
	})
}

func TestWay(t *testing.T) {
	s := newSite(t)
	near, far := netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("198.51.100.9")
	mac, err := s.backend.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	s.inside(t, func() {
		// The refusal that comes back has made the neighbour known.
		if _, err := (system{}).Connect(t.Context(), netip.AddrPortFrom(near, 22)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connect = %v", err)
		}
		w, found, err := system{}.Way(near)
		if err != nil || !found || w.Link != "int0" || w.Gateway.IsValid() || w.next(near) != near || w.MAC.String() != mac.String() {
			t.Errorf("on the network: %+v, %t, %v", w, found, err)
		}
		w, found, err = system{}.Way(far)
		if err != nil || !found || w.next(far) != netip.MustParseAddr("10.0.0.254") {
			t.Errorf("behind a router: %+v, %t, %v", w, found, err)
		}
		if _, found, err = (system{}).Way(netip.MustParseAddr("fd00::1")); err != nil || found {
			t.Errorf("no route: %t, %v", found, err)
		}
		// Nobody is there, and after asking the kernel knows it.
		absent := netip.MustParseAddr("10.0.0.12")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := (system{}).Connect(ctx, netip.AddrPortFrom(absent, 22)); err == nil {
			t.Error("connected to nobody")
		}
		if w, _, err := (system{}).Way(absent); err != nil || !w.Failed || len(w.MAC) != 0 {
			t.Errorf("nobody there: %+v, %v", w, err)
		}
	})
}

func TestConnect(t *testing.T) {
	s := newSite(t)
	var l net.Listener
	if err := s.backend.Do(func() (err error) {
		l, err = net.Listen("tcp", "10.0.0.11:22")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.inside(t, func() {
		if took, err := (system{}).Connect(t.Context(), netip.MustParseAddrPort("10.0.0.11:22")); err != nil || took <= 0 {
			t.Errorf("connect = %v, %v", took, err)
		}
	})
}

// A backend with the VIP on lo answers ARP for it, unless it is told not to:
// the very mistake that doctor is to find.
func TestWhoHas(t *testing.T) {
	s := newSite(t)
	vip := netip.MustParseAddr("192.0.2.3")
	if err := s.backend.AddAddr("lo", netip.MustParsePrefix("192.0.2.3/32")); err != nil {
		t.Fatal(err)
	}
	mac, err := s.backend.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(addr netip.Addr) []net.HardwareAddr {
		t.Helper()
		var answers []net.HardwareAddr
		s.inside(t, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			var err error
			if answers, err = (system{}).WhoHas(ctx, "int0", addr); err != nil {
				t.Fatal(err)
			}
		})
		return answers
	}
	if got := ask(vip); len(got) != 1 || got[0].String() != mac.String() {
		t.Errorf("a careless backend: answers %v, want %v", got, mac)
	}
	if got := ask(netip.MustParseAddr("192.0.2.4")); len(got) != 0 {
		t.Errorf("nobody's address is answered by %v", got)
	}
	for _, name := range []string{"arp_ignore", "arp_announce"} {
		if err := s.backend.SetSysctl("net/ipv4/conf/all/"+name, map[string]string{"arp_ignore": "1", "arp_announce": "2"}[name]); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(vip); len(got) != 0 {
		t.Errorf("a well set up backend answers: %v", got)
	}
	s.inside(t, func() {
		if got, err := (system{}).WhoHas(t.Context(), "lo", vip); err != nil || got != nil {
			t.Errorf("on lo there is nobody to ask: %v, %v", got, err)
		}
		if _, err := (system{}).WhoHas(t.Context(), "eth7", vip); err == nil {
			t.Error("an interface that is not there was asked")
		}
	})
}

func TestRuleset(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	s := newSite(t)
	program, err := nettest.FindProgram("nft")
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.gw.Command(t.Context(), program, "-f", "-")
	cmd.Stdin = strings.NewReader("table ip t { chain c { type filter hook input priority 0; ip daddr 192.0.2.3 tcp dport 22 drop; }; }")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.inside(t, func() {
		text, err := system{}.Ruleset(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rules, err := nft.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(rules) != 1 || !rules[0].Names(netip.MustParseAddrPort("192.0.2.3:22")) {
			t.Errorf("rules %+v", rules)
		}
	})
}

func TestHost(t *testing.T) {
	if _, err := (system{}).Rights(); err != nil {
		t.Error(err)
	}
	if _, err := (system{}).ClockSynchronised(); err != nil {
		t.Error(err)
	}
	if n, err := (system{}).SourcePorts(); err != nil || n <= 0 {
		t.Errorf("%d source ports, %v", n, err)
	}
	if v, err := (system{}).Sysctl("net", "ipv4", "conf", "all", "rp_filter"); err != nil || len(v) != 1 {
		t.Errorf("sysctl %q, %v", v, err)
	}
	if _, err := (system{}).Sysctl("net", "none"); !strings.Contains(err.Error(), os.ErrNotExist.Error()) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a sysctl that is not there: %v", err)
	}
	if on, _, err := (system{}).OnBPFFS(t.TempDir()); on || err != nil {
		t.Errorf("a plain directory is a bpffs: %t, %v", on, err)
	}
	if len((system{}).Features()) == 0 || (system{}).CPUs() == 0 {
		t.Error("nothing is known about the kernel")
	}
}
