package loader_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/loader"
)

// Answers are recognised by address and port, so members that share these share
// a host id, as long as any of them is served by nat.
func TestMembersShareHosts(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	vip := netip.MustParseAddr("192.0.2.3")
	for id, mode := range map[loader.ServiceID]loader.Mode{1: loader.ModeNAT, 2: loader.ModeNAT, 3: loader.ModeGUE} {
		must(t, dp.PutService(id, loader.Service{Listen: netip.AddrPortFrom(vip, uint16(id)), Mode: mode}))
	}
	a, b, c := netip.MustParseAddrPort("10.0.0.11:22"), netip.MustParseAddrPort("10.0.0.12:22"), netip.MustParseAddrPort("[2001:db8:2::11]:22")
	sources := map[loader.MemberID]netip.Prefix{}
	put := func(id loader.MemberID, s loader.ServiceID, at netip.AddrPort) {
		t.Helper()
		must(t, dp.PutMember(id, loader.Member{Service: s, Addr: at, NextHop: loader.NextHopID(id), Source: sources[id]}))
	}
	want := func(what string, hosts map[netip.AddrPort]uint32) {
		t.Helper()
		if diff := cmp.Diff(hosts, dp.Hosts(), byValue); diff != "" {
			t.Errorf("%s: hosts differ (-want +got):\n%s", what, diff)
		}
	}
	sources[4], sources[5] = netip.MustParsePrefix("2001:db8:2::/120"), netip.MustParsePrefix("10.0.0.1/32")
	put(1, 1, a)
	put(2, 2, a)
	put(3, 1, b)
	want("two services at one backend", map[netip.AddrPort]uint32{a: 1, b: 3})
	put(4, 3, c)
	put(5, 3, b)
	want("one-way modes need no answers", map[netip.AddrPort]uint32{a: 1, b: 3})

	members := map[loader.MemberID]loader.Member{
		1: {Service: 1, Addr: a, NextHop: 1}, 2: {Service: 2, Addr: a, NextHop: 2},
		3: {Service: 1, Addr: b, NextHop: 3}, 4: {Service: 3, Addr: c, NextHop: 4, Source: sources[4]}, 5: {Service: 3, Addr: b, NextHop: 5, Source: sources[5]},
	}
	before, _ := dp.Indexes()
	wantMembers(t, dp, "written", members, before)
	must(t, dp.Close())
	dp = openIn(t, n, o)
	wantMembers(t, dp, "adopted", members, before)

	must(t, dp.DeleteMember(1))
	must(t, dp.DeleteMember(1))
	want("one of two is gone", map[netip.AddrPort]uint32{a: 1, b: 3})
	// Member 1's own number is host a's by now.
	put(1, 1, c)
	if hosts := dp.Hosts(); hosts[c] == hosts[a] || hosts[c] == hosts[b] {
		t.Errorf("hosts %v share an id", hosts)
	}
	put(1, 1, b)
	want("moved to another address", map[netip.AddrPort]uint32{a: 1, b: 3})
	must(t, dp.DeleteMember(2))
	must(t, dp.DeleteMember(3))
	want("the last at a", map[netip.AddrPort]uint32{b: 3})
	must(t, dp.DeleteMember(1))
	want("dsr alone is left", map[netip.AddrPort]uint32{})
}

func wantMembers(t *testing.T, dp *loader.Dataplane, when string, members map[loader.MemberID]loader.Member, hosts map[loader.MemberID]uint32) {
	t.Helper()
	got, err := dp.Members()
	must(t, err)
	if diff := cmp.Diff(members, got, byValue); diff != "" {
		t.Errorf("members as %s differ (-want +got):\n%s", when, diff)
	}
	ids, _ := dp.Indexes()
	if diff := cmp.Diff(hosts, ids); diff != "" {
		t.Errorf("host ids as %s differ (-before +after):\n%s", when, diff)
	}
}

func TestMemberRefusals(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	m := loader.Member{Service: 9, Addr: netip.MustParseAddrPort("10.0.0.11:22")}
	wantError(t, dp.PutMember(0, m), "put member 0", "1 to 16383")
	wantError(t, dp.PutMember(loader.MaxMembers, m), "put member 16384", "1 to 16383")
	wantError(t, dp.PutMember(1, m), "put member 1 (10.0.0.11:22)", "service 9 has no record")
	must(t, dp.PutService(9, loader.Service{Listen: netip.MustParseAddrPort("192.0.2.3:22"), Mode: loader.ModeNAT}))
	must(t, dp.PutMember(loader.MaxMembers-1, m))
	counters, err := dp.MemberCounters()
	must(t, err)
	want := map[loader.MemberID]loader.MemberCounters{loader.MaxMembers - 1: {}}
	if diff := cmp.Diff(want, counters); diff != "" {
		t.Errorf("counters of members differ (-want +got):\n%s", diff)
	}
}
