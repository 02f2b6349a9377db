package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/control"
)

// TestExplain asks about a client before it connects and while it is connected.
// The program's own words agree with what then happens, and nothing is counted
// for having asked.
func TestExplain(t *testing.T) {
	for _, s := range []shape{{mode: "nat", clientAddress: "hide"}, {mode: "dsr"}} {
		t.Run(s.String(), func(t *testing.T) {
			w := running(t, s)
			vip := vips["IPv4"]
			asked := netip.AddrPortFrom(w.ClientAddr.Like(vip.Addr()), 51234)
			var before, x, after control.Explanation
			opened := w.backends()
			w.query(&before, "explain", "--flow", asked.String(), "--to", vip.String())
			all := strings.Join(before.Program, "; ")
			for _, want := range []string{"a connection begins with " + before.Backend, "it goes to " + before.Backend, "verdict XDP_"} {
				if !strings.Contains(all, want) {
					t.Errorf("before: the program says %q, not %q", all, want)
				}
			}
			w.query(&after, "explain", "--flow", asked.String(), "--to", vip.String())
			if after.KnownFlow || w.backends()[before.Backend].SYNs != opened[before.Backend].SYNs {
				t.Error("asking left something behind")
			}

			session := w.echo(t, "IPv4")
			var list struct{ Flows []control.Flow }
			// The list may be a second old.
			w.eventually("the flow is listed", func() error {
				w.query(&list, "show", "flows")
				if len(list.Flows) != 1 {
					return fmt.Errorf("%d flows, want one: %+v", len(list.Flows), list.Flows)
				}
				return nil
			})
			f := list.Flows[0]
			w.query(&x, "explain", "--flow", f.Client.String())
			if all := fmt.Sprint(x.Program); !x.KnownFlow || x.Backend != f.Backend || !strings.Contains(all, "the flow table has it") || !strings.Contains(all, "it goes to "+f.Backend) {
				t.Errorf("while connected to %s: %+v", f.Backend, x)
			}
			must(t, session.says("still there"))
		})
	}
}
