package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/internal/node/clusterkey"
	"sluice/loader"
)

const gibibyte = 1 << 30

// TestTransferOutlivesProcesses sends a file of 1 GiB through one session
// while sluice is killed and started again five times, its program replaced a
// hundred times, and the binary replaced in place. Bytes move all the time.
func TestTransferOutlivesProcesses(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "hide"})
	vip := vips["IPv4"]
	there := filepath.Join(t.TempDir(), "there")
	cmd := w.client.SSH(t.Context(), vip, "cat > "+there)
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())

	sum := sha256.New()
	feed := feed(in, io.LimitReader(io.TeeReader(rand.NewChaCha8([32]byte{1}), sum), gibibyte))
	for range 5 {
		w.kill()
		loginWhileDead(t, w)
		w.start()
	}
	w.kill()
	replacePrograms(t, w, 100)
	w.start()
	must(t, w.cmd.Process.Signal(syscall.SIGUSR2))
	if sent := feed.rush(); sent == gibibyte {
		t.Error("the file had arrived before all was done to the gateway")
	}
	must(t, <-feed.done)
	must(t, in.Close())
	must(t, cmd.Wait())
	same(t, there, [32]byte(sum.Sum(nil)))
}

// feeder writes a little all the time until it is told to rush: then the rest
// as fast as it goes.
type feeder struct {
	sent  atomic.Int64
	hurry chan struct{}
	done  chan error
}

// feed starts to copy: 32 KiB each 10 ms, 1 GiB in five minutes.
func feed(to io.Writer, from io.Reader) *feeder {
	f := &feeder{hurry: make(chan struct{}), done: make(chan error, 1)}
	go func() { f.done <- f.copy(to, from) }()
	return f
}

func (f *feeder) copy(to io.Writer, from io.Reader) error {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for {
		n, err := io.CopyN(to, from, 32<<10)
		f.sent.Add(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", f.sent.Load(), err)
		}
		select {
		case <-pace.C:
		case <-f.hurry:
		}
	}
}

// rush returns how much was sent until now.
func (f *feeder) rush() int64 {
	close(f.hurry)
	return f.sent.Load()
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
