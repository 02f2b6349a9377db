package steering

import (
	"bytes"
	"cmp"
	"context"
	"net/netip"
	"time"

	"sluice/loader"
)

// Flow is one living flow for people.
type Flow struct {
	Client netip.AddrPort
	Listen netip.AddrPort
	// Service and Backend are names.
	Service, Backend string
	BackendAddr      netip.AddrPort
	// Source is what the backend sees: the client's own address and port, or
	// ones of the source pool.
	Source netip.AddrPort
	State  loader.FlowState
	// Age is the time since the handshake, Idle that since the last packet,
	// both when the flow was swept and in steps of about a second.
	Age, Idle time.Duration
	// Connection is the id that its PROXY header names it by, empty without one.
	Connection string
}

// FlowSort is what a list of flows is ordered by; equal ones follow by client.
type FlowSort string

// The orders, the shortest age and silence first.
const (
	SortClient  FlowSort = "client"
	SortBackend FlowSort = "backend"
	SortAge     FlowSort = "age"
	SortIdle    FlowSort = "idle"
)

// Query says which flows are wanted. Zero fields do not filter.
type Query struct {
	Service string
	// Backend is a name or addr:port.
	Backend string
	// Client is a network the client's address is in.
	Client netip.Prefix
	State  loader.FlowState
	// MinIdle keeps flows that were silent for at least that long.
	MinIdle time.Duration
	// Sort is SortClient if empty; Descending turns it round.
	Sort       FlowSort
	Descending bool
	// Offset skips flows, Limit bounds the page. What comes and goes between
	// two pages may be skipped or seen twice.
	Offset, Limit int
}

// Page is one part of the flows that match a query.
type Page struct {
	Flows []Flow
	// Total counts all that match.
	Total int
	// At is when the flow table was swept for it.
	At time.Time
}

// Flows lists flows from an index that is at most a second old; where it is
// not, one sweep is made for all who ask. The dataplane is not held up. The
// error is ctx's, or says why the table could not be swept.
func (t *Table) Flows(ctx context.Context, q Query) (Page, error) {
	x, err := t.sweep(ctx, freshFor)
	if err != nil {
		return Page{}, err
	}
	m := t.model.Load()
	matching, err := x.match(ctx, newFilter(m, q))
	if err != nil {
		return Page{}, err
	}
	page := Page{Total: len(matching), At: x.at}
	from := min(max(q.Offset, 0), len(matching))
	to := min(from+max(q.Limit, 0), len(matching))
	if err := window(ctx, matching, from, to, x.order(m, q)); err != nil {
		return Page{}, err
	}
	for _, i := range matching[from:to] {
		page.Flows = append(page.Flows, m.show(x.entryAt(i).flow(), x.begun))
	}
	return page, nil
}

// show gives the ids of a flow their names, as of a moment of the flows' clock.
// What left the model since has none.
func (m *model) show(f loader.Flow, now time.Duration) Flow {
	s, mem := m.services[f.Service], m.members[f.Member]
	if !f.Source.IsValid() {
		f.Source = f.Client
	}
	return Flow{
		Client: f.Client, Listen: s.record.Listen, Service: s.name,
		Backend: m.backends[mem.record.Addr].name, BackendAddr: mem.record.Addr,
		Source: f.Source, State: f.State, Age: max(0, now-f.Opened), Idle: max(0, now-f.Seen),
		Connection: f.ID.String(),
	}
}

// filter is a query with names turned into ids.
type filter struct {
	services map[loader.ServiceID]bool // nil for any
	members  map[loader.MemberID]bool  // nil for any
	client   netip.Prefix
	state    loader.FlowState
	minIdle  time.Duration
}

func newFilter(m *model, q Query) filter {
	f := filter{client: q.Client.Masked(), state: q.State, minIdle: q.MinIdle}
	if q.Service != "" {
		f.services = map[loader.ServiceID]bool{}
		for id, s := range m.services {
			if s.name == q.Service {
				f.services[id] = true
			}
		}
	}
	if q.Backend != "" {
		f.members = map[loader.MemberID]bool{}
		for id, mem := range m.members {
			if m.backends[mem.record.Addr].name == q.Backend || mem.record.Addr.String() == q.Backend {
				f.members[id] = true
			}
		}
	}
	return f
}

func (f *filter) fits(x *index, e *entry) bool {
	return (f.state == 0 || f.state == e.state) &&
		(f.services == nil || f.services[e.service]) &&
		(f.members == nil || f.members[e.member]) &&
		(f.minIdle == 0 || x.idle(e) >= f.minIdle) &&
		(!f.client.IsValid() || f.client.Contains(e.clientAddr().Addr()))
}

// match returns the numbers of the entries that fit.
func (x *index) match(ctx context.Context, f filter) ([]uint32, error) {
	var list []uint32
	for c, chunk := range x.chunks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i := range chunk {
			if f.fits(x, &chunk[i]) {
				list = append(list, uint32(c*chunkLen+i))
			}
		}
	}
	return list, nil
}

// order returns how a query compares two entries. No two compare equal.
func (x *index) order(m *model, q Query) func(a, b uint32) int {
	by := func(*entry, *entry) int { return 0 }
	switch q.Sort {
	case SortClient: // what decides between equals
	case SortAge:
		by = func(a, b *entry) int { return cmp.Compare(b.opened, a.opened) }
	case SortIdle:
		by = func(a, b *entry) int { return cmp.Compare(b.seen, a.seen) }
	case SortBackend:
		names := make(map[loader.MemberID]string, len(m.members))
		for id, mem := range m.members {
			names[id] = m.backends[mem.record.Addr].name
		}
		by = func(a, b *entry) int { return cmp.Compare(names[a.member], names[b.member]) }
	}
	return func(i, j uint32) int {
		if q.Descending {
			i, j = j, i
		}
		a, b := x.entryAt(i), x.entryAt(j)
		if c := by(a, b); c != 0 {
			return c
		}
		if c := bytes.Compare(a.client[:], b.client[:]); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.clientPort, b.clientPort), cmp.Compare(a.service, b.service), cmp.Compare(i, j))
	}
}
