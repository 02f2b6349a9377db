package flowsync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sluice/steering/flowsync/wire"
)

// flows imports flows of a cluster. mu of the roles must be held.
func (in *inbound) flows(o *incoming, m wire.Flows) error {
	c := in.sync.roles.view.Load().clusters[o.Name]
	if o.snapshot != nil {
		for i := range m.Flows {
			o.snapshot.named[o.snapshot.hash(m.Flows[i].Key)] = struct{}{}
		}
		if len(o.snapshot.named) > in.sync.opt.MaxFlows {
			return fmt.Errorf("its snapshot of %q names more than %d flows", o.Name, in.sync.opt.MaxFlows)
		}
		o.flows = len(o.snapshot.named)
	}
	flows := slices.DeleteFunc(m.Flows, func(f Flow) bool { return !slices.Contains(c.VIPs, f.Service.Addr()) })
	if foreign := len(m.Flows) - len(flows); foreign > 0 {
		o.skipped[SkipVIP] += foreign
	}
	if o.tell == nil {
		names := &in.sync.roles.fences[o.Name].names
		for i := range flows {
			names.note(flows[i].Key)
		}
		if len(names.keys) > in.sync.opt.MaxFlows {
			return fmt.Errorf("it names more than %d flows of %q", in.sync.opt.MaxFlows, o.Name)
		}
	}
	if o.tell != nil {
		var err error
		if flows, err = in.untouched(o, flows); err != nil {
			return fmt.Errorf("import flows of %q that are told back: %w", o.Name, err)
		}
	}
	if len(flows) == 0 {
		return nil
	}
	result, err := in.sync.opt.Table.Import(flows)
	if err != nil {
		return fmt.Errorf("import flows of %q: %w", o.Name, err)
	}
	for why, n := range result.Skipped {
		o.skipped[why] += n
	}
	in.counted(result.Imported, 0)
	return nil
}

// gone removes flows of a cluster. mu of the roles must be held.
func (in *inbound) gone(o *incoming, keys []Key) error {
	c := in.sync.roles.view.Load().clusters[o.Name]
	keys = slices.DeleteFunc(keys, func(k Key) bool { return !slices.Contains(c.VIPs, k.Service.Addr()) })
	for _, k := range keys {
		if o.snapshot != nil {
			delete(o.snapshot.named, o.snapshot.hash(k))
		}
		in.sync.roles.fences[o.Name].names.note(k)
	}
	if len(keys) == 0 {
		return nil
	}
	if err := in.sync.opt.Table.Remove(keys); err != nil {
		return fmt.Errorf("remove flows of %q: %w", o.Name, err)
	}
	in.counted(0, len(keys))
	return nil
}

func (in *inbound) counted(flows, removed int) {
	in.sync.mu.Lock()
	defer in.sync.mu.Unlock()
	in.stats.flows += uint64(flows)
	in.stats.removed += uint64(removed)
}

// errVoid ends a sweep whose snapshot is not to be applied any more.
var errVoid = errors.New("the snapshot is void")

// complete removes what a snapshot did not name. Other connections go on
// meanwhile, this one waits.
func (in *inbound) complete(ctx context.Context, index uint16) error {
	r := &in.sync.roles
	r.mu.Lock()
	o := in.taken(index)
	if in.over || o == nil || o.snapshot == nil {
		r.mu.Unlock()
		return nil
	}
	if o.tell != nil || o.asks && r.keeps(in.name, o) {
		defer r.mu.Unlock()
		in.keep(o)
		return nil
	}
	snap := o.snapshot
	r.mu.Unlock()
	err := in.sync.opt.Table.Each(ctx, func(flows []Flow) error {
		in.notices.pulse()
		return in.sweep(index, snap, flows)
	})
	if errors.Is(err, errVoid) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove what the snapshot of %q does not name: %w", o.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.taken(index) == o && o.snapshot == snap && !in.over {
		o.snapshot, o.applied = nil, true
		f := r.fences[o.Name]
		f.have = swept(o.Term, o.lacks)
		f.settle()
	}
	return nil
}

// keep completes a snapshot that removes nothing. mu of the roles must be held.
func (in *inbound) keep(o *incoming) {
	if o.tell != nil {
		in.toldAll(o)
		return
	}
	o.snapshot, o.applied = nil, true
	f := in.sync.roles.fences[o.Name]
	f.have = f.have.joined(o.Term, o.lacks)
	f.settle()
}

// sweep removes of flows what a snapshot did not name.
func (in *inbound) sweep(index uint16, snap *snapshot, flows []Flow) error {
	r := &in.sync.roles
	r.mu.Lock()
	defer r.mu.Unlock()
	o := in.taken(index)
	if in.over || o == nil || o.snapshot != snap {
		return errVoid
	}
	c := r.view.Load().clusters[o.Name]
	var stale []Key
	for i := range flows {
		key := flows[i].Key
		if _, named := snap.named[snap.hash(key)]; !named && slices.Contains(c.VIPs, key.Service.Addr()) {
			stale = append(stale, key)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	if err := in.sync.opt.Table.Remove(stale); err != nil {
		return err
	}
	in.counted(0, len(stale))
	return nil
}
