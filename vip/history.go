package vip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Change is one change of state, as it is kept.
type Change struct {
	Time    time.Time `json:"time"`
	Cluster string    `json:"cluster"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Cause   string    `json:"cause"`
	Reason  string    `json:"reason"`
	Term    uint64    `json:"term"`
}

const (
	historyFile = "history.jsonl"
	// historyKept is how many changes are kept; the file may grow to twice that.
	historyKept = 1000
)

// history keeps changes, and with them each cluster's term, over restarts. Writing
// is not the elections' work: run does it.
type history struct {
	path string

	mu      sync.Mutex
	kept    []Change
	pending []Change
	lines   int
	wake    chan struct{}
	failed  error
	// torn says that the file does not end as one of ours, so that a line put to
	// its end might be lost, too: it is written anew.
	torn bool
}

func openHistory(dir string) (*history, error) {
	h := &history{path: filepath.Join(dir, historyFile), wake: make(chan struct{}, 1)}
	text, err := os.ReadFile(h.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read history: %v", err)
	}
	h.torn = len(text) > 0 && text[len(text)-1] != '\n'
	for line := range bytes.Lines(text) {
		h.lines++
		var c Change
		if json.Unmarshal(line, &c) == nil && c.Cluster != "" { // a line that power loss cut short tells nothing
			h.kept = append(h.kept, c)
		}
	}
	h.trim()
	return h, nil
}

// trim drops the oldest, but of each cluster leaves the last: it has the term.
func (h *history) trim() {
	surplus := len(h.kept) - historyKept
	if surplus <= 0 {
		return
	}
	last := map[string]int{}
	for i, c := range h.kept {
		last[c.Cluster] = i
	}
	i := -1
	h.kept = slices.DeleteFunc(h.kept, func(c Change) bool {
		i++
		drop := surplus > 0 && last[c.Cluster] != i
		if drop {
			surplus--
		}
		return drop
	})
}

// add keeps a change.
func (h *history) add(c Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, c)
	h.pending = append(h.pending, c)
	h.trim()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// all returns what is kept, the oldest first.
func (h *history) all() []Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.kept)
}

// term is the highest term a cluster had.
func (h *history) term(cluster string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var term uint64
	for _, c := range h.kept {
		if c.Cluster == cluster {
			term = max(term, c.Term)
		}
	}
	return term
}

// run writes what is added until ctx ends, and then what is left. What could not be
// written is tried again.
func (h *history) run(ctx context.Context) {
	for {
		var again <-chan time.Time
		if h.err() != nil {
			again = time.After(5 * tryAgain)
		}
		select {
		case <-h.wake:
			h.flush()
		case <-again:
			h.flush()
		case <-ctx.Done():
			h.flush()
			return
		}
	}
}

func (h *history) flush() {
	h.mu.Lock()
	pending := h.pending
	h.pending = nil
	h.lines += len(pending)
	whole := h.lines > 2*historyKept || h.torn || h.failed != nil
	if whole {
		pending, h.lines = slices.Clone(h.kept), len(h.kept)
	}
	h.mu.Unlock()
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	var err error
	for _, c := range pending {
		err = errors.Join(err, out.Encode(c))
	}
	if err == nil && len(pending) > 0 {
		if whole {
			err = replaceFile(h.path, text.Bytes())
		} else {
			err = appendFile(h.path, text.Bytes())
		}
	}
	h.mu.Lock()
	h.failed, h.torn = err, h.torn && err != nil
	h.mu.Unlock()
}

// err says why changes are not kept, nil when they are.
func (h *history) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

func appendFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write history: %v", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write history: %v", err)
	}
	return nil
}
