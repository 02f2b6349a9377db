package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sluice/internal/control"
)

// work moves the counters of blue1 on between two pictures.
func (n *fakeNode) work() {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := &n.backends[0]
	b.PacketsIn += 500
	b.BytesIn += 2 << 20
	b.FlowsOpened += 5
	b.FlowsNow++
}

func TestWatchWithoutATerminal(t *testing.T) {
	w := newWorld(false)
	n, socket, _ := w.node(t)
	w.pause = func(interrupt context.CancelFunc) {
		if w.clock.Before(epoch.Add(3 * time.Second)) {
			n.work()
		}
		if w.clock.After(epoch.Add(5 * time.Second)) {
			interrupt()
		}
	}
	if code := w.run(socket, "status", "--watch", "--interval", "2s"); code != 0 || w.err.Len() > 0 {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	blocks := strings.Split(strings.TrimSuffix(w.out.String(), "\n\n"), "\n\ngw-a")
	if len(blocks) != 3 {
		t.Fatalf("%d blocks, want 3:\n%s", len(blocks), w.out.String())
	}
	want := `  v1.2.3  up 1d02h  generation 47
flows ≤9  in 250 pkt/s 1.00 MiB/s  out 0 pkt/s 0 B/s  dropped 0 pkt/s
ext0: XDP native  int0: XDP generic
settings file is behind what runs
warning: int0: runs in generic mode

BACKEND  STATE  WEIGHT  FLOWS  NEW/S  PKT-IN/S      IN/S  PKT-OUT/S  OUT/S  TOTAL-IN  TOTAL-OUT  REASON
blue1    up          1      4    2.5       250  1.00 MiB          0    0 B  2.00 MiB   3.00 MiB  -
blue2    up          1      0      0         0       0 B          0    0 B  1.50 KiB   3.00 MiB  -
blind    up          1     ≤5      0         0       0 B          0    0 B  1.50 KiB   3.00 MiB  -`
	if blocks[1] != want {
		t.Errorf("second block\n%s\nwant\n%s", blocks[1], want)
	}
	for _, i := range []int{0, 2} {
		if !strings.Contains(blocks[i], "in 0 pkt/s") {
			t.Errorf("block %d has a rate though nothing moved since the one before:\n%s", i, blocks[i])
		}
	}
}

// TestWatchOnATerminal: alternate screen and cursor come back, pictures fit,
// and nothing scrolls.
func TestWatchOnATerminal(t *testing.T) {
	w := newWorld(true)
	_, socket, _ := w.node(t)
	w.pause = func(interrupt context.CancelFunc) { interrupt() }
	if code := w.run(socket, "status", "--watch"); code != 0 {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	out := w.out.String()
	if !strings.HasPrefix(out, "\x1b[?1049h\x1b[?25l\x1b[H") || !strings.HasSuffix(out, "\x1b[J\x1b[?25h\x1b[?1049l") {
		t.Errorf("the screen is not taken or not given back: %q", out)
	}
	if n := strings.Count(out, "\n"); n != 7 {
		t.Errorf("%d lines on a terminal of 8:\n%s", n, out)
	}
	if !strings.Contains(out, "... 4 more lines") {
		t.Errorf("what is hidden is not told:\n%s", out)
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimSuffix(line, "\x1b[K\r\n"))); n > 100+len("\x1b[?1049h\x1b[?25l\x1b[H") {
			t.Errorf("%d characters in %q", n, line)
		}
	}
}

func TestWatchJSONIsOneObjectALine(t *testing.T) {
	w := newWorld(false)
	_, socket, _ := w.node(t)
	w.pause = func(interrupt context.CancelFunc) {
		if w.clock.After(epoch.Add(2 * time.Second)) {
			interrupt()
		}
	}
	if code := w.run(socket, "status", "--watch", "--json"); code != 0 {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	lines := strings.Split(strings.TrimSpace(w.out.String()), "\n")
	if len(lines) != 3 {
		t.Errorf("%d lines, want 3", len(lines))
	}
	for _, line := range lines {
		var s control.Status
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Node != "gw-a" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestWatchOutlivesTheNode: the view stays, says that it is old, and lives on
// with the next node.
func TestWatchOutlivesTheNode(t *testing.T) {
	w := newWorld(false)
	n, socket, stop := w.node(t)
	w.pause = func(interrupt context.CancelFunc) {
		switch w.clock.Sub(epoch) {
		case time.Second:
			stop()
		case 3 * time.Second:
			n.start(t, socket[:strings.LastIndex(socket, "/")])
		case 4 * time.Second:
			interrupt()
		}
	}
	if code := w.run(socket, "status", "--watch"); code != 0 {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	blocks := strings.Split(w.out.String(), "gw-a  v1.2.3")[1:]
	if len(blocks) != 4 {
		t.Fatalf("%d blocks, want 4:\n%s", len(blocks), w.out.String())
	}
	for i, block := range blocks {
		if old := strings.Contains(block, "the figures are old"); old != (i == 1 || i == 2) {
			t.Errorf("block %d: old is %t\n%s", i, old, block)
		}
	}
}

func TestWatchNeedsANodeAtFirst(t *testing.T) {
	w := newWorld(true)
	if code := w.run(t.TempDir()+"/none", "status", "--watch"); code != 1 || w.out.Len() != 0 {
		t.Errorf("exit code %d, standard output %q", code, w.out.String())
	}
}

func TestRate(t *testing.T) {
	for _, tt := range []struct {
		before, now uint64
		seconds     float64
		want        float64
	}{{10, 30, 2, 10}, {30, 10, 2, 0}, {10, 30, 0, 0}, {10, 30, -1, 0}} {
		if got := rate(tt.before, tt.now, tt.seconds); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
