package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// TestHealth takes a backend away without a word: it leaves the ring, comes
// back, and with all of them gone a connection is refused and counted.
func TestHealth(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			w := running(t, s)
			vip := vips["IPv4"]
			silence(t, w.Backends[0])
			since := time.Now()
			w.is("b1", "down")
			// Three failures of at most interval + timeout each, and the look.
			if took := time.Since(since); took > 10*time.Second {
				t.Errorf("b1 left after %v; three checks at 500 ms should do", took)
			}
			for range 10 {
				if name, err := w.client.Backend(t.Context(), vip); err != nil || name == "b1" {
					t.Errorf("a login reached %q: %v", name, err)
				}
			}
			speak(t, w.Backends[0])
			w.is("b1", "up")

			for _, b := range w.Backends {
				silence(t, b)
			}
			for _, b := range w.Backends {
				w.is(b.Label, "down")
			}
			before := w.dropped("no_backend")
			_, err := w.client.Backend(t.Context(), vip)
			if err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("a login with all backends down: %v; it must be refused at once", err)
			}
			if w.dropped("no_backend") == before {
				t.Error("the refused login was not counted as no_backend")
			}
		})
	}
}

// silence makes a backend drop all it gets, as if it hung.
func silence(t *testing.T, b *nettest.Backend) {
	t.Helper()
	runCmd(t, b.Command(t.Context(), "nft", "table inet silence { chain in { type filter hook input priority 0; policy drop; }; }"))
}

func speak(t *testing.T, b *nettest.Backend) {
	t.Helper()
	runCmd(t, b.Command(t.Context(), "nft", "delete table inet silence"))
}

func (w *world) is(backend, state string) {
	w.t.Helper()
	w.eventually(backend+" is "+state, func() error {
		if b := w.backends()[backend]; string(b.State) != state {
			return fmt.Errorf("it is %s (%s)", b.State, b.Reason)
		}
		return nil
	})
}

// switchInside is the router that passes the gateway by.
var switchInside = netip.MustParseAddr("10.0.0.254")

// TestNoReturnPath gives a keep backend a route to the client past the
// gateway: connections fail, are counted, and doctor says why.
func TestNoReturnPath(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "keep"})
	for _, b := range w.Backends {
		must(t, b.SetDefaultRoute(switchInside))
	}
	if _, err := w.client.Backend(t.Context(), vips["IPv4"]); err == nil {
		t.Fatal("a login succeeded although no answer passes the gateway")
	}
	var list struct {
		Services []struct {
			Name         string `json:"name"`
			NoReturnPath uint64 `json:"no_return_path"`
		}
	}
	w.query(&list, "show", "services")
	for _, s := range list.Services {
		if s.Name == "ipv4" && s.NoReturnPath == 0 {
			t.Error("no_return_path is 0")
		}
	}
	out, _ := w.try("doctor")
	if !strings.Contains(out, "no_return_path") && !strings.Contains(out, "return") {
		t.Errorf("doctor does not name the missing way back:\n%s", out)
	}
}
