package loader_test

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/loader"
)

// hops is a dataplane and the next hops it was given.
type hops struct {
	dp   *loader.Dataplane
	want map[loader.NextHopID]loader.NextHop
}

func (h *hops) put(t *testing.T, id loader.NextHopID, n loader.NextHop) {
	t.Helper()
	must(t, h.dp.PutNextHop(id, n))
	if h.want[id] = n; n.Interface == 0 {
		delete(h.want, id)
	}
}

// check fails the test unless the maps hold what was put, and the index names
// an id for each neighbour that is ready.
func (h *hops) check(t *testing.T, what string, index map[string]uint32) {
	t.Helper()
	got, err := h.dp.NextHops()
	must(t, err)
	if diff := cmp.Diff(h.want, got); diff != "" {
		t.Errorf("%s: next hops differ (-want +got):\n%s", what, diff)
	}
	if diff := cmp.Diff(index, h.dp.HopIndex()); diff != "" {
		t.Errorf("%s: the index differs (-want +got):\n%s", what, diff)
	}
}

// A next hop is found by its id, and by its neighbour while that is ready.
func TestNextHops(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	h := &hops{openIn(t, n, o), map[loader.NextHopID]loader.NextHop{}}
	const last = loader.MaxNextHops - 1
	ours := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	first := loader.NextHop{Interface: 7, Source: ours, Destination: net.HardwareAddr{2, 0, 0, 0, 0, 2}, VLAN: 4094, MTU: 9000, Ready: true}
	waiting := loader.NextHop{Interface: 8, Source: ours, Destination: make(net.HardwareAddr, 6), MTU: 1500}
	h.put(t, 1, first)
	h.put(t, last, waiting)
	h.check(t, "written", map[string]uint32{"7 020000000002": 1})
	must(t, h.dp.Close())
	h.dp = openIn(t, n, o)
	h.check(t, "adopted", map[string]uint32{"7 020000000002": 1})

	moved := first
	moved.Destination = net.HardwareAddr{2, 0, 0, 0, 0, 3}
	h.put(t, 1, moved)
	h.check(t, "a new address", map[string]uint32{"7 020000000003": 1})
	moved.Ready = false
	h.put(t, 1, moved)
	h.check(t, "lost", map[string]uint32{})
	waiting.Destination, waiting.Ready = net.HardwareAddr{2, 0, 0, 0, 0, 9}, true
	h.put(t, last, waiting)
	h.check(t, "answered", map[string]uint32{"8 020000000009": last})
	// A router of both families has an id for each: the last one written is
	// found, and stays when the other goes.
	h.put(t, 2, waiting)
	h.check(t, "a second id", map[string]uint32{"8 020000000009": 2})
	h.put(t, last, loader.NextHop{})
	h.check(t, "the first id is freed", map[string]uint32{"8 020000000009": 2})
	h.put(t, 1, loader.NextHop{})
	h.put(t, 2, loader.NextHop{})
	h.check(t, "freed", map[string]uint32{})

	wantError(t, h.dp.PutNextHop(0, first), "put next hop 0", "1 to 4095")
	wantError(t, h.dp.PutNextHop(loader.MaxNextHops, first), "put next hop 4096", "1 to 4095")
}
