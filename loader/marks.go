package loader

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Marks of a ring entry are why the programs look up each flow that falls on
// it. An entry without any has no living flow that another member than its own
// serves, so packets of one-way services go where it says.
//
// Moved and pending are set by whoever makes a contradiction possible, before
// he does. They have two generations, and only what was old before the tables
// were looked through may be cleared: what is set meanwhile is new.
type Marks uint8

// The marks that a sweep may clear. Moved says that flows may have another
// member than the entry; pending that handshakes, flows not yet proven and
// flows that seem to have ended are to be found.
const (
	Moved Marks = 1 << iota
	Pending
)

// generations of the marks in a word.
var generations = [...]struct {
	mark     Marks
	new, old uint32
}{
	{Moved, movedNew, movedOld},
	{Pending, pendingNew, pendingOld},
}

// MarkCount is how many entries of a ring have marks.
type MarkCount struct {
	// Any counts each entry once.
	Any, Moved, Pending, Refresh int
}

// NewRing returns a ring in ordinary memory, which no program reads.
func NewRing() *Ring { return &Ring{mem: make([]byte, ringElements*ringElement)} }

// MarksKept returns when a process last saw to the marks of the rings, on
// CLOCK_MONOTONIC; 0 is never, so that nothing is known of entries without any.
func (d *Dataplane) MarksKept() (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var c bpfControl
	if err := d.objs.Controls.Lookup(uint32(0), &c); err != nil {
		return 0, fmt.Errorf("read control record: %v", err)
	}
	return time.Duration(c.MarksKept), nil
}

// KeepMarks notes that the marks of the rings were seen to just now.
func (d *Dataplane) KeepMarks() error {
	now, err := clock()
	if err != nil {
		return err
	}
	return d.control(func(c *bpfControl) { c.MarksKept = uint64(now) })
}

// Count counts the marks of the ring.
func (r *Ring) Count() (c MarkCount) {
	bit := func(word, marks uint32) int {
		if word&marks != 0 {
			return 1
		}
		return 0
	}
	for i := range RingEntries {
		word := atomic.LoadUint32(r.word(i))
		c.Any += bit(word, ^uint32(ringMember))
		c.Moved += bit(word, movedNew|movedOld)
		c.Pending += bit(word, pendingNew|pendingOld)
		c.Refresh += bit(word, refreshed)
	}
	return c
}

// InDoubt reports whether flows on entry i are looked up.
func (r *Ring) InDoubt(i int) bool {
	return atomic.LoadUint32(r.word(i))&^ringMember != 0
}

// Announce sets marks of entry i, as the programs do before they do what makes
// them necessary.
func (r *Ring) Announce(i int, marks Marks) {
	r.change(i, func(word uint32) uint32 {
		for _, g := range generations {
			if marks&g.mark != 0 {
				word |= g.new
			}
		}
		return word
	})
}

// Turn makes the new generation of marks old.
func (r *Ring) Turn(marks Marks) {
	for i := range RingEntries {
		r.change(i, func(word uint32) uint32 {
			for _, g := range generations {
				if marks&g.mark != 0 && word&g.new != 0 {
					word = word&^g.new | g.old
				}
			}
			return word
		})
	}
}

// Settle clears the old generation of marks but where found has them. The look
// that found them must have begun after the marks were turned.
func (r *Ring) Settle(marks Marks, found *Found) {
	for i := range RingEntries {
		clearing := marks &^ found.At(i)
		r.change(i, func(word uint32) uint32 {
			for _, g := range generations {
				if clearing&g.mark != 0 {
					word &^= g.old
				}
			}
			return word
		})
	}
}

// Doubt marks every entry as moved.
func (r *Ring) Doubt() {
	for i := range RingEntries {
		r.change(i, func(word uint32) uint32 { return word | movedNew })
	}
}

// Refresh has the flows of entries from up to, and without, to looked up, so
// that the table learns which of them live, and those of no other.
func (r *Ring) Refresh(from, to int) {
	for i := range RingEntries {
		r.change(i, func(word uint32) uint32 {
			if from <= i && i < to {
				return word | refreshed
			}
			return word &^ refreshed
		})
	}
}

// Found is what one look at the tables says against the entries of a ring. The
// zero value, as a nil one, says nothing.
type Found struct {
	marks [2][(RingEntries + 63) / 64]uint64
}

// At returns the marks that entry i must keep.
func (f *Found) At(i int) (m Marks) {
	if f == nil {
		return 0
	}
	for n, g := range generations {
		if f.marks[n][i/64]&(1<<(i%64)) != 0 {
			m |= g.mark
		}
	}
	return m
}

// Add notes that entry i must keep marks.
func (f *Found) Add(i int, marks Marks) {
	for n, g := range generations {
		if marks&g.mark != 0 {
			f.marks[n][i/64] |= 1 << (i % 64)
		}
	}
}

// WordMember is the member that a ring word names.
func WordMember(word uint32) MemberID { return MemberID(word & ringMember) }

// WordMarks names the marks of a ring word.
func WordMarks(word uint32) []string {
	var names []string
	for _, m := range []struct {
		bits uint32
		name string
	}{{movedNew | movedOld, "moved"}, {pendingNew | pendingOld, "pending"}, {refreshed, "refresh"}} {
		if word&m.bits != 0 {
			names = append(names, m.name)
		}
	}
	return names
}
