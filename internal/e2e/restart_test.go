package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"sluice/internal/nettest"
	"sluice/internal/node/clusterkey"
	"sluice/loader"
)

const gibibyte = 1 << 30

// TestTransferOutlivesProcesses sends a file of 1 GiB through one session
// while sluice is killed and started again five times, its program replaced a
// hundred times, and the binary replaced in place. What happens is tied to how
// far the file is, so all of it happens while bytes move.
func TestTransferOutlivesProcesses(t *testing.T) {
	w := running(t, shape{"nat", "hide"})
	vip := vips["IPv4"]
	there := filepath.Join(t.TempDir(), "there")
	cmd := w.client.SSH(t.Context(), vip, "cat > "+there)
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())

	const steps = 16
	sum := sha256.New()
	source := io.TeeReader(rand.NewChaCha8([32]byte{1}), sum)
	for step := range steps {
		if _, err := io.CopyN(in, source, gibibyte/steps); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		switch {
		case step < 5:
			w.kill()
			loginWhileDead(t, w)
			w.start()
		case step == 5:
			w.kill()
			replacePrograms(t, w, 100)
			w.start()
		case step == 6:
			must(t, w.cmd.Process.Signal(syscall.SIGUSR2))
		}
	}
	must(t, in.Close())
	must(t, cmd.Wait())
	same(t, there, [32]byte(sum.Sum(nil)))
}

// loginWhileDead logs in while nothing of sluice runs.
func loginWhileDead(t *testing.T, w *world) {
	t.Helper()
	if _, err := w.client.Backend(t.Context(), vips["IPv4"]); err != nil {
		t.Errorf("log in while the daemon is dead: %v", err)
	}
}

// replacePrograms puts fresh programs in place of the attached ones, n times,
// as every start does.
func replacePrograms(t *testing.T, w *world, n int) {
	t.Helper()
	key, err := clusterkey.LoadOrCreate(filepath.Join(w.dir, "data"))
	must(t, err)
	o := loader.Options{
		Dir:        filepath.Join(w.bpffs, "sluice"),
		Interfaces: []string{nettest.OutsideLink, nettest.InsideLink},
		XDP:        loader.XDPNative,
		MaxFlows:   16384,
		Key:        key.Ring(),
	}
	for range n {
		must(t, w.GW.Do(func() error {
			dp, err := loader.Open(o)
			if err != nil {
				return fmt.Errorf("replace program: %w", err)
			}
			return dp.Close()
		}))
	}
}
