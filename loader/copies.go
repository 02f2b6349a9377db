package loader

import (
	"fmt"
	"time"
)

// Verbs of the program copies, enum copy_verb.
const (
	copyRemove  = 1
	copyRefresh = 2
)

// RemoveFlows removes flows that another gateway saw end, counts them closed and
// tells nobody. It returns how many it found. Those of a VIP that this node has
// by its own word stay: it sees their end itself.
func (d *Dataplane) RemoveFlows(keys []FlowKey) (removed int, err error) {
	return d.copies(copyRemove, keys, 0)
}

// RefreshFlows notes that another gateway saw packets of flows at seen, on
// CLOCK_MONOTONIC of this node, so that they do not grow old here. It returns how
// many it found.
func (d *Dataplane) RefreshFlows(keys []FlowKey, seen time.Duration) (found int, err error) {
	now, err := clock()
	if err != nil {
		return 0, err
	}
	return d.copies(copyRefresh, keys, uint32(max(min(seen, now), 0)>>tickShift))
}

func (d *Dataplane) copies(verb uint32, keys []FlowKey, seen uint32) (done int, err error) {
	for len(keys) > 0 {
		n := min(len(keys), importFlows)
		args := bpfCopyArgs{Verb: verb, Count: uint32(n), Seen: seen}
		for i, k := range keys[:n] {
			args.Keys[i] = k.key()
		}
		if err := d.runCopies(&args); err != nil {
			return done, fmt.Errorf("look after imported flows: %v", err)
		}
		done += int(args.Done)
		keys = keys[n:]
	}
	return done, nil
}

func (d *Dataplane) runCopies(args *bpfCopyArgs) error {
	d.expireMu.Lock()
	defer d.expireMu.Unlock()
	return d.timed(func() error { return runBatch(d.objs.CopyBatch, d.objs.Copies, args) })
}
