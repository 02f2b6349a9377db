package loader_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/loader"
)

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func sequence(n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}))
	}
	return out
}

// Every field comes back from the maps.
func TestServiceRecords(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	want := map[loader.ServiceID]loader.Service{
		0:                      {Listen: netip.MustParseAddrPort("192.0.2.3:22"), Mode: loader.ModeNAT, Pool: addrs("192.0.2.3")},
		1:                      {Listen: netip.MustParseAddrPort("[2001:db8::3]:65535"), Mode: loader.ModeDSR},
		2:                      {Listen: netip.MustParseAddrPort("192.0.2.4:1"), Mode: loader.ModeNAT, KeepClient: true},
		3:                      {Listen: netip.MustParseAddrPort("192.0.2.4:2"), Mode: loader.ModeNAT, Pool: sequence(loader.MaxPool), Removed: true},
		4:                      {Listen: netip.MustParseAddrPort("[2001:db8::3]:22"), Mode: loader.ModeNAT, Pool: addrs("2001:db8::3", "2001:db8::4", "2001:db8::5")},
		loader.MaxServices - 1: {Listen: netip.MustParseAddrPort("192.0.2.4:22"), Mode: loader.ModeSSHD},
	}
	for id, s := range want {
		must(t, dp.PutService(id, s))
	}
	for _, when := range []string{"written", "adopted"} {
		got, err := dp.Services()
		must(t, err)
		if diff := cmp.Diff(want, got, byValue); diff != "" {
			t.Errorf("services as %s differ (-want +got):\n%s", when, diff)
		}
		must(t, dp.Close())
		dp = openIn(t, n, o)
	}
	tooMany := loader.Service{Listen: netip.MustParseAddrPort("192.0.2.4:22"), Pool: sequence(loader.MaxPool + 1)}
	wantError(t, dp.PutService(5, tooMany), "put service 5", "17 source addresses", "at most 16")
	wantError(t, dp.PutService(loader.MaxServices, want[0]), "put service 1024", "the maps hold 1024")
	wantError(t, dp.Publish(77), "publish service 77", "no record")
}

// wantPublished fails the test unless just these are, and so many services then
// steer for the VIP.
func wantPublished(t *testing.T, dp *loader.Dataplane, what string, want map[loader.ServiceID]bool, vip netip.Addr, steer uint32) {
	t.Helper()
	got := map[loader.ServiceID]bool{}
	for id := range want {
		got[id] = dp.Published(id)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: published differs (-want +got):\n%s", what, diff)
	}
	if vips := dp.VIPs(); vips[vip] != steer {
		t.Errorf("%s: %d services steer for the VIP, want %d", what, vips[vip], steer)
	}
}

// VIP and port name one service at a time, and the last that was published.
func TestPublish(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	vip := netip.MustParseAddr("192.0.2.3")
	put := func(id loader.ServiceID, port uint16, mode loader.Mode) {
		t.Helper()
		must(t, dp.PutService(id, loader.Service{Listen: netip.AddrPortFrom(vip, port), Mode: mode}))
	}
	check := func(what string, published map[loader.ServiceID]bool, steer uint32) {
		t.Helper()
		wantPublished(t, dp, what, published, vip, steer)
	}
	put(1, 22, loader.ModeNAT)
	put(2, 2022, loader.ModeDSR)
	put(3, 3022, loader.ModeSSHD)
	check("none", map[loader.ServiceID]bool{1: false, 2: false, 3: false}, 0)
	for id := range loader.ServiceID(3) {
		must(t, dp.Publish(id+1))
		must(t, dp.Publish(id+1))
	}
	all := map[loader.ServiceID]bool{1: true, 2: true, 3: true}
	check("all", all, 2)
	must(t, dp.Close())
	dp = openIn(t, n, o)
	check("adopted", all, 2)

	// A published service changes its mode.
	put(3, 3022, loader.ModeNAT)
	check("three steer", all, 3)
	put(3, 3022, loader.ModeSSHD)

	// Another id takes the same VIP and port; the old one has nothing to withdraw.
	put(4, 22, loader.ModeDSR)
	must(t, dp.Publish(4))
	check("taken over", map[loader.ServiceID]bool{1: false, 4: true}, 2)
	must(t, dp.Withdraw(1))
	must(t, dp.DeleteService(1))
	check("the old one is gone", map[loader.ServiceID]bool{1: false, 4: true}, 2)
	must(t, dp.Withdraw(4))
	must(t, dp.Withdraw(4))
	check("withdrawn", map[loader.ServiceID]bool{2: true, 3: true, 4: false}, 1)
	must(t, dp.DeleteService(2))
	check("deleted", map[loader.ServiceID]bool{2: false, 3: true, 4: false}, 0)
	if _, there := dp.VIPs()[vip]; there {
		t.Error("the VIP is still known although no service steers for it")
	}
}

// A deleted service leaves nothing: no ring, no owner word, no record.
func TestDeleteService(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	vip := netip.MustParseAddr("192.0.2.3")
	for id, port := range map[loader.ServiceID]uint16{1: 22, 2: 2022} {
		must(t, dp.PutService(id, loader.Service{Listen: netip.AddrPortFrom(vip, port), Mode: loader.ModeNAT}))
		must(t, dp.Publish(id))
		ring, err := dp.Ring(id)
		must(t, err)
		ring.Set(5, 77)
	}
	pin := filepath.Join(o.Dir, "v1", "rings", "1")
	if _, err := os.Stat(pin); err != nil {
		t.Error(err)
	}
	owners := func() map[netip.Addr]uint32 {
		_, owners := dp.Indexes()
		return owners
	}
	must(t, dp.DeleteService(1))
	must(t, dp.DeleteService(1))
	absent(t, pin)
	if len(owners()) != 1 {
		t.Errorf("owner words %v; the other service still needs the VIP's", owners())
	}
	ring, err := dp.Ring(2)
	must(t, err)
	if m := ring.Get(5); m != 77 {
		t.Errorf("the other service's ring names member %d", m)
	}
	must(t, dp.DeleteService(2))
	if len(owners()) != 0 {
		t.Errorf("owner words %v are left", owners())
	}
	comeAndGo(t, dp)
	// An id that comes back starts with an empty ring.
	must(t, dp.PutService(1, loader.Service{Listen: netip.AddrPortFrom(vip, 22), Mode: loader.ModeNAT}))
	if ring, err = dp.Ring(1); err != nil || ring.Get(5) != 0 {
		t.Errorf("the ring of a new service names member %d (%v)", ring.Get(5), err)
	}
	services, err := dp.Services()
	must(t, err)
	if got := fmt.Sprint(len(services), services[1].Listen); got != "1 192.0.2.3:22" {
		t.Errorf("services are %s", got)
	}
}

// comeAndGo has more VIPs come and go than there are owner words.
func comeAndGo(t *testing.T, dp *loader.Dataplane) {
	t.Helper()
	for i := range 1500 {
		listen := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 22)
		must(t, dp.PutService(7, loader.Service{Listen: listen, Mode: loader.ModeNAT}))
		must(t, dp.DeleteService(7))
	}
}
