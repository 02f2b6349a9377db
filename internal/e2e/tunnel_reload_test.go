package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"

	"sluice/internal/control"
)

// TestTunnelOutlivesReload sends files through sessions of both families while
// the sluice on every backend, which takes their packets out, gets other
// settings again and again, is replaced in place, and is killed and started.
func TestTunnelOutlivesReload(t *testing.T) {
	const size = 128 << 20
	for _, s := range []shape{{mode: "ipip"}, {mode: "gue", crossed: true}} {
		t.Run(s.String(), func(t *testing.T) {
			w := running(t, s)
			var files []*carried
			for _, vip := range vips {
				files = append(files, w.carry(vip, size))
			}
			for _, d := range w.decaps {
				d.reload(t)
			}
			for family, vip := range vips {
				if _, err := w.client.Backend(t.Context(), vip); err != nil {
					t.Errorf("%s: log in after all: %v", family, err)
				}
			}
			for _, f := range files {
				f.arrive(t)
			}
			w.tookOut(t)
		})
	}
}

// carried is a file on its way through a session.
type carried struct {
	*feeder
	size  int64
	there string
	sum   func() [32]byte
	end   func() error
}

// carry begins to send random bytes, a little all the time.
func (w *world) carry(vip netip.AddrPort, size int64) *carried {
	w.t.Helper()
	there := filepath.Join(w.t.TempDir(), "there")
	cmd := w.client.SSH(w.t.Context(), vip, "cat > "+there)
	in, err := cmd.StdinPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	sum := sha256.New()
	return &carried{
		feeder: feed(in, io.LimitReader(io.TeeReader(rand.NewChaCha8([32]byte{2}), sum), size)),
		size:   size,
		there:  there,
		sum:    func() [32]byte { return [32]byte(sum.Sum(nil)) },
		end: func() error {
			if err := in.Close(); err != nil {
				return err
			}
			return cmd.Wait()
		},
	}
}

// arrive waits for the end of the file, most of which must still have been on
// its way.
func (f *carried) arrive(t *testing.T) {
	t.Helper()
	if sent := f.rush(); sent == f.size {
		t.Error("the file had arrived before all was done")
	}
	must(t, <-f.done)
	must(t, f.end())
	same(t, f.there, f.sum())
}

// reload changes what a backend's daemon trusts, to more and back, by command
// and by signal, then replaces its binary in place, and kills and starts it.
func (d *decapDaemon) reload(t *testing.T) {
	t.Helper()
	const moreFrom, moreVIPs = `, 10.0.0.200, "2001:db8:2::200"`, ", 192.0.2.99"
	for range 5 {
		d.trust(moreFrom, moreVIPs)
		d.do("settings", "apply", d.settings)
		d.trust("", "")
		d.do("settings", "apply", d.settings)
	}
	before := d.status()
	d.trust(moreFrom, moreVIPs)
	must(t, d.cmd.Process.Signal(syscall.SIGHUP))
	d.eventually("the settings are read again", func() error {
		if now := d.status().Settings.Generation; now == before.Settings.Generation {
			return fmt.Errorf("generation %d is in force", now)
		}
		return nil
	})
	must(t, d.cmd.Process.Signal(syscall.SIGUSR2))
	d.eventually("another node process answers", func() error {
		var s control.Status
		out, err := d.try("status", "--json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &s)
		}
		if err == nil && s.PID == before.PID {
			err = fmt.Errorf("process %d answers", s.PID)
		}
		return err
	})
	d.kill()
	d.start()
}
