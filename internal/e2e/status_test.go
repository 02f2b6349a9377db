package e2e

import (
	"slices"
	"testing"

	"sluice/internal/control"
)

// TestPrivileges runs everything with the four capabilities and no more, and
// status shows it.
func TestPrivileges(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "hide"})
	var st control.Status
	w.query(&st, "status")
	want := []string{"cap_bpf", "cap_net_admin", "cap_net_raw", "cap_perfmon"}
	found := false
	for _, p := range st.Processes {
		if p.Name != "node" {
			continue
		}
		found = true
		for set, caps := range map[string][]string{"effective": p.Capabilities.Effective, "permitted": p.Capabilities.Permitted, "bounding": p.Capabilities.Bounding} {
			got := slices.Sorted(slices.Values(caps))
			if !slices.Equal(got, want) {
				t.Errorf("the node's %s capabilities are %v, want %v", set, got, want)
			}
		}
		if !p.NoNewPrivileges {
			t.Error("the node may gain privileges")
		}
	}
	if !found {
		t.Errorf("status shows no node process: %+v", st.Processes)
	}
	for _, a := range st.Attachments {
		if a.Mode != "native" {
			t.Errorf("interface %s runs %s; native was asked for", a.Interface, a.Mode)
		}
	}
}
