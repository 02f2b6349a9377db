package vip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// words are owner words that outlive the process, as the kernel's do, and tell
// what was done to them.
type words struct {
	file *os.File

	mu  sync.Mutex
	now map[netip.Addr]word
	odd Odd
}

// Odd is how words are other than was written.
type Odd struct {
	// Left is for how long open ones are still found open, 0 for as it was written.
	Left time.Duration
	// Unknown has none, as of settings that the dataplane has and the daemon has not
	// yet; not valid for none.
	Unknown netip.Addr
}

func (w *words) be(o Odd) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.odd = o
}

type word struct {
	active bool
	until  time.Duration
}

// written is one Set.
type written struct {
	At     time.Duration
	VIPs   []netip.Addr
	Active bool
	Until  time.Duration
}

const wordsFile = "words.jsonl"

func openWords(dir string) (*words, error) {
	w := &words{now: map[netip.Addr]word{}}
	list, err := readWords(dir)
	if err != nil {
		return nil, err
	}
	for _, one := range list {
		w.put(one)
	}
	w.file, err = os.OpenFile(filepath.Join(dir, wordsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return w, err
}

func (w *words) put(one written) {
	for _, v := range one.VIPs {
		w.now[v] = word{one.Active, one.Until}
	}
}

// Set implements [Owners].
func (w *words) Set(vips []netip.Addr, active bool, until time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var unknown error
	if slices.Contains(vips, w.odd.Unknown) {
		unknown = fmt.Errorf("VIP %s: %w", w.odd.Unknown, ErrNoWord)
		vips = slices.DeleteFunc(slices.Clone(vips), func(a netip.Addr) bool { return a == w.odd.Unknown })
	}
	one := written{Monotonic(), vips, active, until}
	w.put(one)
	text, err := json.Marshal(one)
	if err == nil {
		_, err = w.file.Write(append(text, '\n'))
	}
	return errors.Join(unknown, err)
}

// Open implements [Owners].
func (w *words) Open(vips []netip.Addr) (until time.Duration, open bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	open = len(vips) > 0
	for _, v := range vips {
		one := w.now[v]
		if w.odd.Left != 0 && one.active {
			one.until = Monotonic() + w.odd.Left
		}
		open = open && one.active && (one.until == 0 || one.until > Monotonic())
		if until == 0 || one.until < until {
			until = one.until
		}
	}
	if w.odd.Left < 0 {
		open = true // as it was before it was asked
	}
	return until, open, nil
}

// readWords returns all that was done to the words of a directory.
func readWords(dir string) ([]written, error) {
	text, err := os.ReadFile(filepath.Join(dir, wordsFile))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var list []written
	for line := range bytes.Lines(text) {
		var one written
		if err := json.Unmarshal(line, &one); err == nil { // a kill may cut the last one short
			list = append(list, one)
		}
	}
	return list, nil
}

// span is a time in which a word was open.
type span struct{ from, to time.Duration }

// spans are the times in which a VIP's word was open, by its writes: until it was
// closed, or its deadline came without another write.
func spans(list []written, vip netip.Addr) []span {
	var out []span
	var now *span
	for _, w := range list {
		for _, v := range w.VIPs {
			if v != vip {
				continue
			}
			if now != nil && (now.to == 0 || now.to > w.At) && !w.Active {
				now.to = w.At
			}
			switch {
			case !w.Active:
				now = nil
			case now != nil && (now.to == 0 || now.to >= w.At):
				now.to = w.Until
			default:
				out = append(out, span{w.At, w.Until})
				now = &out[len(out)-1]
			}
		}
	}
	return out
}

// neverTwo fails where the words of a VIP were open in two places at once.
func neverTwo(t *testing.T, vip netip.Addr, dirs ...string) {
	t.Helper()
	var all [][]span
	for _, dir := range dirs {
		list, err := readWords(dir)
		must(t, err)
		all = append(all, spans(list, vip))
	}
	for _, a := range all[0] {
		for _, b := range all[1] {
			endA, endB := a.to, b.to
			if (endB == 0 || a.from < endB) && (endA == 0 || b.from < endA) {
				t.Errorf("%s was open in both: from %v to %v and from %v to %v", vip, a.from, a.to, b.from, b.to)
			}
		}
	}
	if len(all[0])+len(all[1]) == 0 {
		t.Errorf("%s was never open", vip)
	}
}

func TestSpans(t *testing.T) {
	vip, other := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")
	set := func(at time.Duration, active bool, until time.Duration) written {
		return written{at, []netip.Addr{other, vip}, active, until}
	}
	got := spans([]written{
		set(1, true, 10), set(5, true, 15), set(9, false, 0), // closed
		set(20, true, 30), set(40, true, 50), // the first ran out
		set(45, true, 0), set(60, false, 0), {70, []netip.Addr{other}, true, 80},
	}, vip)
	want := []span{{1, 9}, {20, 30}, {40, 60}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%v, want %v", got, want)
	}
}
