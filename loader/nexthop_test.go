package loader_test

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/loader"
)

// A next hop is found by its id, and by its neighbour while that is ready.
func TestNextHops(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	first := loader.NextHop{
		Interface: 7, Source: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Destination: net.HardwareAddr{2, 0, 0, 0, 0, 2},
		VLAN: 4094, MTU: 9000, Ready: true,
	}
	waiting := loader.NextHop{Interface: 8, Source: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Destination: make(net.HardwareAddr, 6), MTU: 1500}
	hops := map[loader.NextHopID]loader.NextHop{}
	put := func(id loader.NextHopID, h loader.NextHop) {
		t.Helper()
		must(t, dp.PutNextHop(id, h))
		if hops[id] = h; h.Interface == 0 {
			delete(hops, id)
		}
	}
	want := func(what string, index map[string]uint32) {
		t.Helper()
		got, err := dp.NextHops()
		must(t, err)
		if diff := cmp.Diff(hops, got); diff != "" {
			t.Errorf("%s: next hops differ (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(index, dp.HopIndex()); diff != "" {
			t.Errorf("%s: the index differs (-want +got):\n%s", what, diff)
		}
	}
	put(1, first)
	put(loader.MaxNextHops-1, waiting)
	want("written", map[string]uint32{"7 020000000002": 1})
	must(t, dp.Close())
	dp = openIn(t, n, o)
	want("adopted", map[string]uint32{"7 020000000002": 1})

	moved := first
	moved.Destination = net.HardwareAddr{2, 0, 0, 0, 0, 3}
	put(1, moved)
	want("a new address", map[string]uint32{"7 020000000003": 1})
	moved.Ready = false
	put(1, moved)
	want("lost", map[string]uint32{})
	waiting.Destination, waiting.Ready = net.HardwareAddr{2, 0, 0, 0, 0, 9}, true
	put(loader.MaxNextHops-1, waiting)
	want("answered", map[string]uint32{"8 020000000009": loader.MaxNextHops - 1})
	put(1, loader.NextHop{})
	put(loader.MaxNextHops-1, loader.NextHop{})
	want("freed", map[string]uint32{})

	wantError(t, dp.PutNextHop(0, first), "put next hop 0", "1 to 4095")
	wantError(t, dp.PutNextHop(loader.MaxNextHops, first), "put next hop 4096", "1 to 4095")
}
