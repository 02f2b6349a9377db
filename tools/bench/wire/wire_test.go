package wire

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// What the gateway's kernel forwards is charged to the gateway's threads, and
// what its processes do to them.
func TestTime(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	for name, o := range map[string]Options{
		"bare": {Name: "tba"}, "offloads": {Name: "tbo", Offloads: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.Client.SetDefaultRoute(outside.Addr()); err != nil {
				t.Fatal(err)
			}
			at := netip.AddrPortFrom(BackendAddr, 22)
			nettest.ServeForTest(t, w.Backend, at, nettest.ServerOptions{Echo: true})
			before, err := w.Time(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			conns, err := nettest.OpenConns(t.Context(), w.Client, at, 4)
			if err != nil {
				t.Fatal(err)
			}
			defer conns.Close()
			if err := conns.Exchange(make([]byte, 1<<20), 30*time.Second); err != nil {
				t.Fatal(err)
			}
			after, err := w.Time(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			s := after.Since(before)
			if (s.NAPI > 0) == o.Offloads || s.Processes <= 0 || s.Sum() != s.NAPI+s.Processes {
				t.Errorf("spent %+v on 8 MiB", s)
			}
			t.Logf("spent %+v", s)
		})
	}
}

func TestTimeOfNoInterface(t *testing.T) {
	if _, err := napiTime("no-such-if"); err == nil {
		t.Error("an interface that is not there has spent time")
	}
}
