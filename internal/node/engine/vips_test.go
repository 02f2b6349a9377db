package engine

import (
	"net/netip"
	"slices"
	"testing"

	"sluice/internal/config"
	"sluice/internal/node/links"
	"sluice/steering/vips"
)

func TestVIPsOf(t *testing.T) {
	here := spread("192.0.2.9:22", "10.0.0.1:22", "10.0.0.14:22")
	here.Backends[0].Local = true
	s := settings()
	s.Services = append(s.Services, here, service("192.0.2.9:2022", config.ModeNAT, config.ClientHide, "10.0.0.11:22"))
	outside := netip.MustParseAddr("198.51.100.1")
	got := vipsOf(s, []netip.Addr{netip.MustParseAddr("192.0.2.9"), outside})
	want := []vips.VIP{
		{Addr: netip.MustParseAddr("192.0.2.9"), Spread: true, Ends: true, Elected: true},
		{Addr: outside, Elected: true},
	}
	for _, a := range []string{"192.0.2.3", "192.0.2.5", "192.0.2.4", "192.0.2.6", "192.0.2.7"} {
		want = append(want, vips.VIP{Addr: netip.MustParseAddr(a)})
	}
	want = append(want, vips.VIP{Addr: netip.MustParseAddr("192.0.2.8"), Spread: true})
	if !slices.Equal(got, want) {
		t.Errorf("VIPs are %+v, want %+v", got, want)
	}
}

func TestBearing(t *testing.T) {
	all := []links.Link{
		{Index: 1, Name: "lo", Loopback: true},
		{Index: 2, Name: "ext0"},
		{Index: 3, Name: "int0"},
		{Index: 4, Name: "ext0.7", Kind: "vlan", Parent: 2},
		{Index: 5, Name: "vip0", Kind: "macvlan", Parent: 4},
	}
	if got := bearing(all, []string{"ext0"}); !slices.Equal(got, []string{"ext0", "ext0.7", "vip0"}) {
		t.Errorf("frames for %v come by ext0", got)
	}
}
