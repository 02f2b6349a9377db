package loader

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Verbs of the expire programs, enum expire_verb.
const (
	expireIdle = 1
	expireKill = 2
)

// Sizes of one call, EXPIRE_BATCH and EXPIRE_KEYS of bpf/shared.h: small, so
// that no call holds a CPU for long.
const (
	expireLines = 64
	expireKeys  = 16
)

// Expire removes the flows that are past their lifetime, and the entries for
// answers that belong to no flow any more, and counts them closed. One call is
// one pass over the table, in batches. It returns how many entries it freed.
func (d *Dataplane) Expire(ctx context.Context) (removed int, err error) {
	l := d.lifetimes
	now, err := monotonic()
	if err != nil {
		return 0, err
	}
	b := d.batch(expireIdle)
	err = d.scanLines(ctx, func(line uint32, f *bpfFlow) bool {
		if d.mayBeDue(l, f, now) {
			b.line(line, f.Word)
		}
		return b.err == nil
	})
	if err == nil {
		err = d.scanOverflow(ctx, func(key bpfFlowKey, f *bpfFlow) bool {
			if d.mayBeDue(l, f, now) {
				b.key(key)
			}
			return b.err == nil
		})
	}
	n, flushed := b.finish()
	if err == nil {
		err = flushed
	}
	return n, err
}

// mayBeDue spares the program the entries that are surely alive. An answer's
// entry goes with its flow, so any of them that was silent for the shortest
// lifetime is worth a look.
func (d *Dataplane) mayBeDue(l [6]uint32, f *bpfFlow, now uint32) bool {
	idle := int32(now - f.Seen)
	if f.Owner&flowReverse != 0 {
		return idle > int32(l[FlowClosed])
	}
	state := f.Status & statusState
	switch {
	case state >= uint32(len(l)):
		return false
	case f.Status&statusDoubts != 0 && f.Status&statusCountedClosed != 0:
		return idle > int32(d.doubtLimit(f))
	case FlowState(state) == FlowYoung && f.Status&statusAdvanced != 0:
		return idle > int32(l[FlowEstablished])
	default:
		return idle > int32(min(l[state%uint32(len(l))], l[FlowEstablished]))
	}
}

// doubtLimit is how long an entry outlives an end in doubt, as flow_expired
// has it.
func (d *Dataplane) doubtLimit(f *bpfFlow) uint32 {
	if f.Seen-f.Opened < d.lifetimes[FlowHalfClosed] {
		return d.lifetimes[FlowHalfClosed]
	}
	return d.doubt
}

// Kill ends flows: the packets of both sides are answered by a reset from now
// on, in dsr those of the client. It returns how many it found; the others had
// ended by themselves.
func (d *Dataplane) Kill(flows []Flow) (int, error) {
	b := d.batch(expireKill)
	for _, f := range flows {
		if f.Line != NoLine {
			b.line(f.Line, f.Word)
			continue
		}
		b.key(bpfFlowKey{Addr: toAddr(f.Client.Addr()), Port: swap16(f.Client.Port()), Owner: uint32(f.Service)})
	}
	return b.finish()
}

// batch gathers entries and runs a program whenever a call is full.
type batch struct {
	d     *Dataplane
	lines bpfExpireArgs
	keys  bpfExpireKeys
	done  int
	err   error
}

func (d *Dataplane) batch(verb uint32) *batch {
	return &batch{d: d, lines: bpfExpireArgs{Verb: verb}, keys: bpfExpireKeys{Verb: verb}}
}

func (b *batch) line(line, word uint32) {
	i := b.lines.Count
	b.lines.Lines[i], b.lines.Words[i] = line, word
	if b.lines.Count++; b.lines.Count == expireLines {
		b.flushLines()
	}
}

func (b *batch) key(key bpfFlowKey) {
	b.keys.Keys[b.keys.Count] = key
	if b.keys.Count++; b.keys.Count == expireKeys {
		b.flushKeys()
	}
}

func (b *batch) flushLines() {
	if b.err != nil || b.lines.Count == 0 {
		return
	}
	b.d.expireMu.Lock()
	defer b.d.expireMu.Unlock()
	o := &b.d.objs
	b.err = b.d.timed(func() error { return runBatch(o.ExpireBatch, o.Expire, &b.lines) })
	b.done += int(b.lines.Done)
	b.lines.Count, b.lines.Done = 0, 0
}

func (b *batch) flushKeys() {
	if b.err != nil || b.keys.Count == 0 {
		return
	}
	b.d.expireMu.Lock()
	defer b.d.expireMu.Unlock()
	o := &b.d.objs
	b.err = b.d.timed(func() error { return runBatch(o.ExpireKeyBatch, o.ExpireOverflow, &b.keys) })
	b.done += int(b.keys.Done)
	b.keys.Count, b.keys.Done = 0, 0
}

// timed runs one call of a batch. Tests look at how long it holds a CPU.
func (d *Dataplane) timed(call func() error) error {
	if d.around == nil {
		return call()
	}
	return d.around(call)
}

func (b *batch) finish() (int, error) {
	b.flushLines()
	b.flushKeys()
	return b.done, b.err
}

// monotonic is CLOCK_MONOTONIC in ticks, as the programs read it.
func monotonic() (uint32, error) {
	now, err := clock()
	return uint32(now >> tickShift), err
}

func clock() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read monotonic clock: %v", err)
	}
	return time.Duration(ts.Nano()), nil
}
