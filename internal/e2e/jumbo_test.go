package e2e

import (
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// TestJumbo carries files in frames that are larger than a page, which the
// kernel hands over in pieces.
func TestJumbo(t *testing.T) {
	nettest.Require(t, nettest.Program("scp"))
	for _, s := range []shape{{mode: "nat", clientAddress: "hide"}, {mode: "dsr"}} {
		t.Run(s.String(), func(t *testing.T) {
			w := newWorldOn(t, s, nettest.GatewayOptions{MTU: 9000})
			w.configure()
			w.start()
			w.allUp()
			for _, vip := range vips {
				bySCP(t, w, vip, t.TempDir())
			}
			var list struct{ Services []control.Service }
			w.query(&list, "show", "services")
			for _, s := range list.Services {
				// Half of the packets are acknowledgements.
				if s.PacketsIn == 0 || s.BytesIn/s.PacketsIn < 3000 {
					t.Errorf("%s: %d bytes in %d packets: no large ones", s.Name, s.BytesIn, s.PacketsIn)
				}
			}
		})
	}
}
