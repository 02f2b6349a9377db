package flowsync

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// fakeTable is a flow table in memory that knows some services and backends.
type fakeTable struct {
	mu       sync.Mutex
	flows    map[Key]entry
	services map[netip.AddrPort]bool // nil for any
	// imported sees every batch, with mu held.
	imported func([]Flow)
	lookups  int
	// batch is how many flows Each hands over at once.
	batch int
}

// entry keeps moments where flows tell ages.
type entry struct {
	flow         Flow
	opened, seen time.Time
}

func newTable() *fakeTable { return &fakeTable{flows: map[Key]entry{}, batch: 256} }

func (t *fakeTable) put(flows ...Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, f := range flows {
		t.flows[f.Key] = entry{flow: f, opened: now.Add(-f.Opened), seen: now.Add(-f.Idle)}
	}
}

func (t *fakeTable) drop(keys ...Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		delete(t.flows, k)
	}
}

func (e entry) now() Flow {
	f := e.flow
	f.Opened, f.Idle = time.Since(e.opened), time.Since(e.seen)
	return f
}

func (t *fakeTable) Each(ctx context.Context, visit func([]Flow) error) error {
	t.mu.Lock()
	keys := slices.Collect(maps.Keys(t.flows))
	t.mu.Unlock()
	for part := range slices.Chunk(keys, t.batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		flows, _ := t.find(part)
		if err := visit(flows); err != nil {
			return err
		}
	}
	return nil
}

func (t *fakeTable) find(keys []Key) ([]Flow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []Flow
	for _, k := range keys {
		if e, ok := t.flows[k]; ok {
			found = append(found, e.now())
		}
	}
	return found, nil
}

func (t *fakeTable) Lookup(keys []Key) ([]Flow, error) {
	t.mu.Lock()
	t.lookups += len(keys)
	t.mu.Unlock()
	return t.find(keys)
}

func (t *fakeTable) Import(flows []Flow) (Result, error) {
	r := Result{Skipped: map[Skip]int{}}
	var known []Flow
	t.mu.Lock()
	for _, f := range flows {
		if t.services != nil && !t.services[f.Service] {
			r.Skipped[SkipService]++
			continue
		}
		known = append(known, f)
	}
	if t.imported != nil {
		t.imported(known)
	}
	t.mu.Unlock()
	for _, f := range known {
		if f.HeaderOpen {
			return r, errors.New("a flow with an open header was told")
		}
	}
	t.put(known...)
	r.Imported = len(known)
	return r, nil
}

func (t *fakeTable) Remove(keys []Key) error {
	t.drop(keys...)
	return nil
}

// content is the table without ages, and without flows whose header is open.
func (t *fakeTable) content() map[Key]Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[Key]Flow{}
	for k, e := range t.flows {
		f := e.flow
		f.Opened, f.Idle = 0, 0
		if !f.HeaderOpen {
			all[k] = f
		}
	}
	return all
}

func (t *fakeTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.flows)
}
