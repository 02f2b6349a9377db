package doctor

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/config"
	"sluice/internal/nettest"
	"sluice/internal/node/links"
)

var (
	askerMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	askerIP  = netip.MustParseAddr("fe80::1")
	asked6   = netip.MustParseAddr("2001:db8::3:4")
)

func TestSolicitFrame(t *testing.T) {
	got := solicitFrame(askerMAC, askerIP, asked6)
	want := slices.Concat(
		[]byte{0x33, 0x33, 0xff, 3, 0, 4}, askerMAC, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255},
		askerIP.AsSlice(), netip.MustParseAddr("ff02::1:ff03:4").AsSlice(),
		[]byte{135, 0, got[56], got[57], 0, 0, 0, 0}, asked6.AsSlice(), []byte{1, 1}, askerMAC)
	if !bytes.Equal(got, want) || icmpv6Sum(got) != 0 || got[56]|got[57] == 0 {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// advertised is what the owner of an address answers; edit changes it before the
// checksum is made.
func advertised(edit func(b []byte) []byte) []byte {
	b := slices.Concat(askerMAC, blueMAC, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255}, asked6.AsSlice(), askerIP.AsSlice(),
		[]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, asked6.AsSlice(), []byte{2, 1}, redMAC)
	if edit != nil {
		b = edit(b)
	}
	if len(b) >= offsetICMPv6+advertSize {
		binary.BigEndian.PutUint16(b[offsetICMPv6+2:], icmpv6Sum(b))
	}
	return b
}

// Everything that RFC 4861 §7.1.2 asks for, and that the answer is to the question.
func TestParseAdvert(t *testing.T) {
	set := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	resize := func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[18:], uint16(len(b)-offsetICMPv6))
		return b
	}
	for name, c := range map[string]struct {
		frame []byte
		want  net.HardwareAddr
	}{
		"answer":             {advertised(nil), redMAC},
		"padded":             {append(advertised(nil), make([]byte, 20)...), redMAC},
		"without its MAC":    {advertised(func(b []byte) []byte { return resize(b[:offsetICMPv6+24]) }), blueMAC},
		"other options":      {advertised(func(b []byte) []byte { return resize(append(b, 14, 1, 0, 0, 0, 0, 0, 0)) }), redMAC},
		"bad checksum":       {set(57, advertised(nil)[57]+1)(advertised(nil)), nil},
		"hop limit":          {advertised(set(21, 254)), nil},
		"code":               {advertised(set(55, 1)), nil},
		"not solicited":      {advertised(set(58, 0x20)), nil},
		"option of length 0": {advertised(set(79, 0)), nil},
		"option too long":    {advertised(set(79, 2)), nil},
		"other address":      {advertised(set(77, 9)), nil},
		"other type":         {advertised(set(54, 135)), nil},
		"other protocol":     {advertised(set(20, 17)), nil},
		"other version":      {advertised(set(14, 0x40)), nil},
		"other ethertype":    {advertised(set(12, 8)), nil},
		"to another MAC":     {advertised(set(5, 9)), nil},
		"to another address": {advertised(set(53, 9)), nil},
		"half an option":     {advertised(func(b []byte) []byte { return resize(append(b, 1, 1, 0, 0)) }), nil},
		"longer than it is":  {advertised(set(19, 40)), nil},
		"short":              {advertised(nil)[:77], nil},
		"length too small":   {advertised(set(19, 23)), nil},
		"empty":              {nil, nil},
	} {
		got, ok := parseAdvert(c.frame, askerMAC, askerIP, asked6)
		if ok != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %t", name, got, ok)
		}
	}
}

func FuzzParseAdvert(f *testing.F) {
	f.Add(advertised(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if mac, ok := parseAdvert(frame, askerMAC, askerIP, asked6); ok && len(mac) != 6 {
			t.Errorf("%x answered by %v", frame, mac)
		}
	})
}

// six gives a site addresses of IPv6.
func (s site) six(t *testing.T) {
	t.Helper()
	for _, err := range []error{
		s.gw.AddAddr("int0", netip.MustParsePrefix("2001:db8::1/64")),
		s.backend.AddAddr("eth0", netip.MustParsePrefix("2001:db8::11/64")),
		s.gw.Settled(t.Context()), s.backend.Settled(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// neighbours6 are the addresses and MACs that the backend remembers.
func (s site) neighbours6(t *testing.T) map[netip.Addr]string {
	t.Helper()
	index, err := s.backend.Index("eth0")
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.backend.Netlink().NeighList(index, unix.AF_INET6)
	if err != nil {
		t.Fatal(err)
	}
	known := map[netip.Addr]string{}
	for _, n := range list {
		if a := address(n.IP); !a.IsMulticast() {
			known[a] = n.HardwareAddr.String()
		}
	}
	return known
}

// Who has an address of IPv6 answers the interface and a stranger, and learns
// nothing that is not so.
func TestWhoHas6(t *testing.T) {
	s := newSite(t)
	s.six(t)
	mac, err := s.backend.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.gw.MAC("int0")
	if err != nil {
		t.Fatal(err)
	}
	stranger := strangerMAC("int0", 51)
	far, nobody := netip.MustParseAddr("2001:db8::11"), netip.MustParseAddr("2001:db8::12")
	s.inside(t, func() {
		ask := func(most time.Duration, addr netip.Addr) []net.HardwareAddr {
			ctx, cancel := context.WithTimeout(t.Context(), most)
			defer cancel()
			got, err := system{}.WhoHas(ctx, "int0", addr)
			if err != nil {
				t.Error(err)
			}
			return got
		}
		if got := ask(300*time.Millisecond, far); len(got) != 1 || !slices.Equal(got[0], mac) {
			t.Errorf("the backend: %v, want %v", got, mac)
		}
		if got := ask(300*time.Millisecond, nobody); len(got) != 0 {
			t.Errorf("nobody's address is answered by %v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if got, err := (system{}).WhoHasFor(ctx, "int0", stranger, far); err != nil || len(got) != 1 || !slices.Equal(got[0], mac) {
			t.Errorf("for a stranger: %v, %v; want %v", got, err, mac)
		}
		if got, err := (system{}).WhoHas(ctx, "lo", far); err != nil || got != nil {
			t.Errorf("on lo there is nobody to ask: %v, %v", got, err)
		}
		for _, err := range []error{second((system{}).WhoHas(ctx, "eth7", far)), second((system{}).WhoHasFor(ctx, "eth7", stranger, far))} {
			if err == nil {
				t.Error("an interface that is not there was asked")
			}
		}
	})
	truth := map[netip.Addr]string{linkLocalOf(own): own.String(), linkLocalOf(stranger): stranger.String()}
	for a, m := range s.neighbours6(t) {
		if truth[a] != m {
			t.Errorf("the backend has learned that %s is at %s", a, m)
		}
	}
	if err := s.gw.SetSysctl("net/ipv6/conf/int0/disable_ipv6", "1"); err != nil {
		t.Fatal(err)
	}
	s.inside(t, func() {
		if _, err := (system{}).WhoHas(t.Context(), "int0", far); err == nil || !strings.Contains(err.Error(), "no link-local address") {
			t.Errorf("without IPv6: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// A second machine that has the VIP is found, and who it is.
func TestSecondHolder6(t *testing.T) {
	s := newSite(t)
	s.six(t)
	vip := netip.MustParsePrefix("2001:db8::3/64")
	mac, err := s.backend.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	f, settings := pair()
	e := &examination{settings: settings, machine: wire{f}, links: map[int]links.Link{1: {Index: 1, Name: "int0"}}}
	c, v := settings.VirtualClusters[0], config.VIP{Addr: vip, Interface: "int0"}
	s.inside(t, func() { e.checkHolders(t.Context(), "VIP", c, v) })
	if err := s.backend.AddAddr("eth0", vip); err != nil {
		t.Fatal(err)
	}
	if err := s.backend.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.inside(t, func() { e.checkHolders(t.Context(), "VIP", c, v) })
	e.links[2] = links.Link{Index: 2, Name: "vip51-0123abcd", Kind: "macvlan", Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8::3/128")}}
	s.inside(t, func() { e.checkHolders(t.Context(), "VIP", c, v) })
	if len(e.findings) != 3 || e.findings[0].Level != Pass || e.findings[1].Level != Fail || e.findings[2].Level != Fail ||
		e.findings[1].Text != "is had by "+mac.String()+", which is not the virtual MAC 00:00:5e:00:02:33" ||
		e.findings[2].Text != "is here, and "+mac.String()+" on the network of int0 has it, too" {
		t.Errorf("%+v", e.findings)
	}
}

// What filters MAC addresses is found by IPv6, too.
func TestFilteredMAC6(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	s := newSite(t)
	s.six(t)
	mac, err := s.gw.MAC("int0")
	if err != nil {
		t.Fatal(err)
	}
	nft := func(text string) {
		t.Helper()
		load := s.backend.Command(t.Context(), "nft", "-f", "-")
		load.Stdin = strings.NewReader("flush ruleset\n" + text)
		if said, err := load.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	f, settings := pair()
	e := &examination{settings: settings, machine: wire{f}, links: map[int]links.Link{
		1: {Index: 1, Name: "int0", Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64")}},
	}}
	c := settings.VirtualClusters[0]
	c.Addrs[1].Interface, c.Addrs[1].Peers = "int0", []netip.Addr{netip.MustParseAddr("2001:db8::11")}
	look := func() Finding {
		t.Helper()
		e.findings = nil
		s.inside(t, func() { e.checkStranger(t.Context(), "virtual MAC on int0, IPv6", c, "int0", true) })
		if len(e.findings) != 1 {
			t.Fatalf("%+v", e.findings)
		}
		return e.findings[0]
	}
	if got := look(); got.Level != Pass {
		t.Errorf("without a filter: %+v", got)
	}
	nft("table netdev t {\nchain c {\ntype filter hook ingress device \"eth0\" priority 0;\nether saddr != " + mac.String() + " drop;\n}\n}\n")
	if got := look(); got.Level != Fail || !strings.Contains(got.Text, "2001:db8::11 answers the MAC address of int0, but no other one") {
		t.Errorf("with a filter on the way there: %+v", got)
	}
	nft("table netdev t {\nchain c {\ntype filter hook egress device \"eth0\" priority 0;\nether daddr != { " + mac.String() + ", 33:33:ff:00:00:01 } drop;\n}\n}\n")
	if got := look(); got.Level != Fail {
		t.Errorf("with a filter on the way back: %+v", got)
	}
}
