// Package flowtable is the dataplane's flow table as other gateways are told of it:
// by addresses, because ids mean nothing on another machine.
package flowtable

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"sluice/loader"
	"sluice/steering/flowsync"
	"sluice/steering/flowsync/wire"
)

// Dataplane is what is needed of the loader's.
type Dataplane interface {
	Changes() uint64
	Services() (map[loader.ServiceID]loader.Service, error)
	Members() (map[loader.MemberID]loader.Member, error)
	EachFlow(ctx context.Context, do func([]loader.FlowRecord) error) error
	Records(keys []loader.FlowKey) ([]loader.FlowRecord, error)
	ImportFlows(records []loader.FlowRecord) (loader.Imported, error)
	RemoveFlows(keys []loader.FlowKey) (int, error)
}

// Table implements [flowsync.Table] on a dataplane. It may be used by several
// goroutines.
type Table struct {
	dp Dataplane

	// names is what ids stood for, at a number of changes.
	names atomic.Pointer[names]
	mu    sync.Mutex
}

var _ flowsync.Table = (*Table)(nil)

// New returns the table of a dataplane.
func New(dp Dataplane) *Table { return &Table{dp: dp} }

// names are what the ids of a moment stand for, both ways.
type names struct {
	changes  uint64
	services map[loader.ServiceID]loader.Service
	members  map[loader.MemberID]loader.Member
	byListen map[netip.AddrPort]loader.ServiceID
	byAddr   map[place]loader.MemberID
}

// place is a backend within a service.
type place struct {
	service loader.ServiceID
	addr    netip.AddrPort
}

func (t *Table) current() (*names, error) {
	changes := t.dp.Changes()
	if n := t.names.Load(); n != nil && n.changes == changes {
		return n, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &names{changes: changes, byListen: map[netip.AddrPort]loader.ServiceID{}, byAddr: map[place]loader.MemberID{}}
	var err error
	if n.services, err = t.dp.Services(); err != nil {
		return nil, err
	}
	if n.members, err = t.dp.Members(); err != nil {
		return nil, err
	}
	// Of two of one name the one with the higher id is the newer.
	for _, id := range slices.Sorted(maps.Keys(n.services)) {
		s := n.services[id]
		if old, taken := n.byListen[s.Listen]; !taken || n.services[old].Removed || !s.Removed {
			n.byListen[s.Listen] = id
		}
	}
	for _, id := range slices.Sorted(maps.Keys(n.members)) {
		m := n.members[id]
		n.byAddr[place{m.Service, m.Addr}] = id
	}
	t.names.Store(n)
	return n, nil
}

// Each implements [flowsync.Table].
func (t *Table) Each(ctx context.Context, visit func([]flowsync.Flow) error) error {
	n, err := t.current()
	if err != nil {
		return err
	}
	return t.dp.EachFlow(ctx, func(records []loader.FlowRecord) error { return visit(n.flows(records)) })
}

// Lookup implements [flowsync.Table].
func (t *Table) Lookup(keys []flowsync.Key) ([]flowsync.Flow, error) {
	n, err := t.current()
	if err != nil {
		return nil, err
	}
	records, err := t.dp.Records(n.keys(keys))
	if err != nil {
		return nil, err
	}
	return n.flows(records), nil
}

// Remove implements [flowsync.Table].
func (t *Table) Remove(keys []flowsync.Key) error {
	n, err := t.current()
	if err != nil {
		return err
	}
	_, err = t.dp.RemoveFlows(n.keys(keys))
	return err
}

// Import implements [flowsync.Table].
func (t *Table) Import(flows []flowsync.Flow) (flowsync.Result, error) {
	result := flowsync.Result{Skipped: map[flowsync.Skip]int{}}
	n, err := t.current()
	if err != nil {
		return result, err
	}
	records := make([]loader.FlowRecord, 0, len(flows))
	for i := range flows {
		r, skip := n.record(&flows[i])
		if skip != "" {
			result.Skipped[skip]++
			continue
		}
		records = append(records, r)
	}
	sum, err := t.dp.ImportFlows(records)
	result.Imported = sum.Made + sum.Replaced + sum.Known
	if sum.Refused > 0 {
		result.Skipped[flowsync.SkipOther] += sum.Refused
	}
	return result, err
}

func (n *names) keys(keys []flowsync.Key) []loader.FlowKey {
	list := make([]loader.FlowKey, 0, len(keys))
	for _, k := range keys {
		if id, ok := n.byListen[k.Service]; ok {
			list = append(list, loader.FlowKey{Service: id, Client: k.Client})
		}
	}
	return list
}

// modes are the loader's as they are told.
var modes = map[loader.Mode]wire.Mode{
	loader.ModeNAT: wire.ModeNAT, loader.ModeDSR: wire.ModeDSR, loader.ModeIPIP: wire.ModeIPIP, loader.ModeGUE: wire.ModeGUE,
}

// states are the loader's as they are told.
var states = map[loader.FlowState]wire.State{
	loader.FlowYoung: wire.StateYoung, loader.FlowEstablished: wire.StateEstablished,
	loader.FlowHalfClosed: wire.StateHalfClosed, loader.FlowClosed: wire.StateClosed,
}

// notes are the loader's flags as they are told.
var notes = map[loader.FlowFlags]wire.Notes{
	loader.FlowHeader: wire.Header, loader.FlowAdvanced: wire.Advanced,
	loader.FlowClientFIN: wire.ClientFIN, loader.FlowBackendFIN: wire.BackendFIN,
	loader.FlowClientDoubt: wire.ClientDoubt, loader.FlowBackendDoubt: wire.BackendDoubt,
}

// flows gives records their names; those that have none any more are left out.
func (n *names) flows(records []loader.FlowRecord) []flowsync.Flow {
	list := make([]flowsync.Flow, 0, len(records))
	for i := range records {
		r := &records[i]
		s, known := n.services[r.Service]
		m, has := n.members[r.Member]
		mode, told := modes[s.Mode]
		if !known || !has || !told {
			continue
		}
		f := flowsync.Flow{
			Key: flowsync.Key{Service: s.Listen, Client: r.Client}, Backend: m.Addr, Source: r.Source,
			Mode: mode, State: states[r.State], Opened: r.Age, Idle: r.Idle, ISN: r.ISN,
			ClientSeq: r.Sequence, BackendSeq: r.BackSequence,
		}
		for flag, note := range notes {
			if r.Flags&flag != 0 {
				f.Notes |= note
			}
		}
		list = append(list, f)
	}
	return list
}

// record gives a flow the ids of this node, or says why it has none.
func (n *names) record(f *flowsync.Flow) (loader.FlowRecord, flowsync.Skip) {
	id, known := n.byListen[f.Service]
	s := n.services[id]
	switch {
	case !known:
		return loader.FlowRecord{}, flowsync.SkipService
	case modes[s.Mode] != f.Mode:
		return loader.FlowRecord{}, flowsync.SkipMode
	case f.Mode == wire.ModeNAT && !s.KeepClient && !slices.Contains(s.Pool, f.Source.Addr()):
		return loader.FlowRecord{}, flowsync.SkipSource
	}
	member, has := n.byAddr[place{id, f.Backend}]
	if !has {
		return loader.FlowRecord{}, flowsync.SkipBackend
	}
	r := loader.FlowRecord{
		FlowKey: loader.FlowKey{Service: id, Client: f.Client}, Member: member, Source: f.Source,
		Idle: f.Idle, Age: max(f.Opened, f.Idle), ISN: f.ISN, Sequence: f.ClientSeq, BackSequence: f.BackendSeq,
	}
	for ours, told := range states {
		if told == f.State {
			r.State = ours
		}
	}
	for flag, note := range notes {
		if f.Notes&note != 0 {
			r.Flags |= flag
		}
	}
	if r.State == 0 {
		return r, flowsync.SkipOther // killed, or ended beyond doubt: nothing to go on with
	}
	return r, ""
}
