package steering

import (
	"net/netip"
	"testing"

	"sluice/internal/config"
)

// tunnelled is serving in mode gue.
func tunnelled(sources ...string) config.Service {
	s := serving("b1", "b2")
	s.Mode, s.ClientAddress = config.ModeGUE, ""
	for _, p := range sources {
		s.OuterSource = append(s.OuterSource, netip.MustParsePrefix(p))
	}
	return s
}

// What the settings name as outer source counts, where it is of the backend's
// family; else what the routing table says, also when that changes. Other modes
// have none.
func TestOuterSource(t *testing.T) {
	r := newRig(t)
	b1, b2 := backendAddr("b1").Addr(), backendAddr("b2").Addr()
	r.resolver.sources = map[netip.Addr]netip.Addr{b1: netip.MustParseAddr("10.0.0.1")}
	want := func(when, first, second string) {
		t.Helper()
		got := map[netip.Addr]string{}
		for _, m := range r.dp.members {
			got[m.Addr.Addr()] = ""
			if m.Source.IsValid() {
				got[m.Addr.Addr()] = m.Source.String()
			}
		}
		if got[b1] != first || got[b2] != second {
			t.Errorf("%s: outer sources are %q and %q, want %q and %q", when, got[b1], got[b2], first, second)
		}
	}
	r.apply(tunnelled())
	want("by the routes", "10.0.0.1/32", "")
	r.resolver.sources[b1], r.resolver.sources[b2] = netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	for _, b := range []netip.Addr{b1, b2} {
		if err := r.table.Moved(b, r.table.hops[b]); err != nil {
			t.Fatal(err)
		}
	}
	want("by other routes", "10.0.0.2/32", "10.0.0.3/32")
	delete(r.resolver.sources, b2)
	r.apply(tunnelled("2001:db8::/120"))
	want("of the other family, without a route", "10.0.0.2/32", "10.0.0.3/32")
	r.apply(tunnelled("2001:db8::/120", "10.9.0.0/28"))
	want("by the settings", "10.9.0.0/28", "10.9.0.0/28")
	r.restart()
	if err := r.table.Moved(b1, r.table.hops[b1]); err != nil {
		t.Fatal(err)
	}
	want("before the settings are there again", "10.9.0.0/28", "10.9.0.0/28")
	r.apply(tunnelled())
	want("by the routes again", "10.0.0.2/32", "10.9.0.0/28")
}

func TestNoOuterSourceWithoutTunnel(t *testing.T) {
	r := newRig(t)
	r.resolver.sources = map[netip.Addr]netip.Addr{backendAddr("b1").Addr(): netip.MustParseAddr("10.0.0.1")}
	r.apply(serving("b1"))
	for id, m := range r.dp.members {
		if m.Source.IsValid() {
			t.Errorf("member %d of a nat service has outer source %s", id, m.Source)
		}
	}
}
