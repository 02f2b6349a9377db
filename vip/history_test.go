package vip

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func change(cluster string, term int) Change {
	return Change{
		Time: time.Unix(int64(term), 0).UTC(), Cluster: cluster, From: "backup", To: "active",
		Cause: "peer_silent", Reason: fmt.Sprintf("the %dth", term), Term: uint64(term),
	}
}

func open(t *testing.T, dir string) *history {
	t.Helper()
	h, err := openHistory(dir)
	must(t, err)
	return h
}

func historyLines(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, historyFile))
	must(t, err)
	return bytes.Count(text, []byte("\n"))
}

// What is added is there after a restart: the newest thousand, in a file that is
// written anew before it has twice as many.
func TestHistoryIsKept(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	for i := range 3*historyKept + 7 {
		h.add(change("edge", i+1))
		if i%10 == 0 {
			h.flush()
		}
		if i == 2*historyKept+100 {
			if n := historyLines(t, dir); n > 2*historyKept {
				t.Errorf("the file has %d lines", n)
			}
		}
	}
	h.flush()
	for _, h := range []*history{h, open(t, dir)} {
		all := h.all()
		if len(all) != historyKept || all[0].Term != 2*historyKept+8 || all[historyKept-1] != change("edge", 3*historyKept+7) {
			t.Errorf("%d changes from %d to %+v", len(all), all[0].Term, all[len(all)-1])
		}
		if h.term("edge") != 3*historyKept+7 || h.term("dmz") != 0 {
			t.Errorf("terms %d and %d", h.term("edge"), h.term("dmz"))
		}
	}
	info, err := os.Stat(filepath.Join(dir, historyFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// A cluster that changes all the time does not make another one's term forgotten,
// which would then count again from the start.
func TestTermOutlivesOthersChanges(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	h.add(change("quiet", 41))
	h.add(change("quiet", 42))
	for i := range 3 * historyKept {
		h.add(change("busy", i+1))
		h.flush()
	}
	for _, h := range []*history{h, open(t, dir)} {
		if got := h.term("quiet"); got != 42 {
			t.Errorf("term %d", got)
		}
		if n := len(h.all()); n != historyKept {
			t.Errorf("%d are kept", n)
		}
	}
}

// A line that power loss cut short tells nothing, and costs no other line: neither
// one before it nor one that is added after.
func TestHalfLine(t *testing.T) {
	for name, tail := range map[string]string{
		"half":         `{"time":"2026-01-02T03:04:05Z","clus`,
		"no end":       `null`,
		"zeros":        string(make([]byte, 100_000)),
		"other":        "{}\n[]\n\n",
		"not a string": `{"cluster":7}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := open(t, dir)
			h.add(change("edge", 1))
			h.flush()
			must(t, appendFile(filepath.Join(dir, historyFile), []byte(tail)))
			h = open(t, dir)
			if all := h.all(); len(all) != 1 || all[0] != change("edge", 1) {
				t.Errorf("read %+v", all)
			}
			h.add(change("edge", 2))
			h.flush()
			if all := open(t, dir).all(); len(all) != 2 || all[1] != change("edge", 2) {
				t.Errorf("after one more: %+v", all)
			}
		})
	}
}

// What cannot be written is said and kept, and is in the file once it can be.
func TestHistoryCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	h := open(t, dir) // not there yet
	h.add(change("edge", 1))
	h.flush()
	if h.err() == nil || len(h.all()) != 1 {
		t.Errorf("%v, %d kept", h.err(), len(h.all()))
	}
	must(t, os.Mkdir(dir, 0o700))
	h.flush()
	if h.err() != nil {
		t.Errorf("still %v", h.err())
	}
	if all := open(t, dir).all(); len(all) != 1 || all[0] != change("edge", 1) {
		t.Errorf("the file has %+v", all)
	}
}

// The end of run writes what is left.
func TestHistoryAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.add(change("edge", 1))
	h.run(ctx)
	if all := open(t, dir).all(); len(all) != 1 {
		t.Errorf("the file has %+v", all)
	}
}

func TestHistoryIsNoFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, historyFile), 0o700))
	if _, err := openHistory(dir); err == nil {
		t.Error("a directory was read")
	}
}
