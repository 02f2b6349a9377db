package e2e

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/nettest"
)

// TestNoProxy: OpenSSH by itself does not read PROXY headers. Everybody who
// could ask is told so before a user meets it.
func TestNoProxy(t *testing.T) {
	w := newWorld(t, shape{mode: "nat", clientAddress: "hide"}) // without a receiver
	w.shape.clientAddress = "proxy_v2"
	w.configure()
	const why = "does not accept PROXY v2"
	tell := func(asks ...[]string) {
		t.Helper()
		for _, ask := range asks {
			if out, err := w.try(ask...); !strings.Contains(out, why) {
				t.Errorf("sluice %s says nothing of it (%v):\n%s", strings.Join(ask, " "), err, out)
			}
		}
	}
	// Before anything runs.
	tell([]string{"doctor"}, []string{"check", "--probe"})
	w.start()
	for _, b := range w.Backends {
		w.is(b.Label, "down")
	}
	for name, b := range w.backends() {
		w.eventually("tell why "+name+" is down", func() error {
			if b = w.backends()[name]; !strings.Contains(b.Reason, why) {
				return fmt.Errorf("state %s, %q", b.State, b.Reason)
			}
			return nil
		})
	}
	tell([]string{"show", "backends"}, []string{"status"}, []string{"status", "--json"}, []string{"doctor"}, []string{"check", "--probe"})
	if _, err := w.client.Backend(t.Context(), vips["IPv4"]); err == nil {
		t.Error("a login reached a backend that is down")
	}
}

// TestProxyProbe: behind a receiver the same check passes.
func TestProxyProbe(t *testing.T) {
	nettest.Require(t, nettest.Program("haproxy"))
	w := running(t, shape{mode: "nat", clientAddress: "proxy_v2"})
	for _, ask := range [][]string{{"check", "--probe"}, {"doctor"}} {
		out, err := w.try(ask...)
		if n := strings.Count(out, "accepts PROXY v2"); n != 2*len(w.Backends) {
			t.Errorf("sluice %s: %d backends accept PROXY v2, want %d (%v):\n%s", strings.Join(ask, " "), n, 2*len(w.Backends), err, out)
		}
	}
}
