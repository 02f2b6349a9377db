package steering

import (
	"context"
	"net/netip"
	"time"

	"sluice/loader"
)

// Dataplane is what a Table needs of the maps and programs. [Loaded] gives the
// real one. Every method may be called from many goroutines at once. One that
// fails has changed nothing; deleting or withdrawing what is not there is no
// failure.
type Dataplane interface {
	// Services and Members return the records the maps hold, also those that
	// an earlier process put there.
	Services() (map[loader.ServiceID]loader.Service, error)
	Members() (map[loader.MemberID]loader.Member, error)

	// PutService writes a record; packets reach it only once Publish has
	// stored its id for the VIP and port. Withdraw takes that back.
	PutService(loader.ServiceID, loader.Service) error
	Publish(loader.ServiceID) error
	Withdraw(loader.ServiceID) error
	// Published reports whether packets reach the service.
	Published(loader.ServiceID) bool
	DeleteService(loader.ServiceID) error
	PutMember(loader.MemberID, loader.Member) error
	DeleteMember(loader.MemberID) error
	// Ring returns the entries of a service that has a record. It must not be
	// used once the record is deleted.
	Ring(loader.ServiceID) (Ring, error)
	// Second returns the second choices of a service, on the same terms. SetLoads
	// says what the choice between the two goes by.
	Second(loader.ServiceID) (Ring, error)
	SetLoads(map[loader.MemberID]loader.Load) error
	// PutCheck makes the check address reach the member on the clients' path.
	PutCheck(check netip.Addr, m loader.MemberID) error
	DeleteCheck(check netip.Addr) error

	// SetNodes says who may send connections on to this node, and how.
	SetNodes(loader.Nodes) error
	NextHops() (map[loader.NextHopID]loader.NextHop, error)
	// The counters of all ids that have a record. They only grow, also when an
	// id passes from one owner to the next.
	MemberCounters() (map[loader.MemberID]loader.MemberCounters, error)
	ServiceCounters() (map[loader.ServiceID]loader.ServiceCounters, error)

	// Scan visits every flow until visit returns false. A flow that comes or
	// goes meanwhile may be missed; one that stays is visited exactly once.
	Scan(ctx context.Context, visit func(loader.Flow) bool) error
	// Doubts looks through flows and handshakes completely and returns which
	// marks the ring entries of one-way services must keep. What begins
	// meanwhile may be missed: its marks are new.
	Doubts(ctx context.Context) (map[loader.ServiceID]*loader.Found, error)
	// MarksKept returns when KeepMarks was called last, by whatever process; 0
	// is never.
	MarksKept() (time.Duration, error)
	KeepMarks() error
	// Find returns the flow of a client with a service, if there is one.
	Find(id loader.ServiceID, client netip.AddrPort) (f loader.Flow, found bool, err error)
	// Expire removes the flows that are past their lifetime.
	Expire(ctx context.Context) (removed int, err error)
	// Kill makes the dataplane answer every further packet of the flows by a
	// reset. A flow that changed since it was scanned is left alone.
	Kill(flows []loader.Flow) (killed int, err error)
	// SetFlowEvents says whether anybody reads events of flows.
	SetFlowEvents(read bool) error
	// ReadEvent blocks; it returns [os.ErrClosed] when the dataplane closes.
	ReadEvent() (loader.Event, error)
	// Trace says what the program would do with a packet, and changes nothing.
	Trace(loader.Probe) (loader.Trace, error)
	// FlowHash returns the ring entry that a client falls on.
	FlowHash(client netip.AddrPort, s loader.Service) (entry int)
}

// Ring is the ring of one service, as long as its record lives. Each change of
// an entry is one store that packets may race with.
type Ring interface {
	Get(entry int) loader.MemberID
	// Set also marks an entry that changes as moved.
	Set(entry int, m loader.MemberID)
	// Turn makes the new generation of marks old, Settle clears the old one but
	// where found has it.
	Turn(loader.Marks)
	Settle(marks loader.Marks, found *loader.Found)
	// Refresh has the flows of entries from up to, and without, to looked up;
	// Doubt marks all entries as moved.
	Refresh(from, to int)
	Doubt()
	Count() loader.MarkCount
}

// loaded narrows the concrete ring to the interface.
type loaded struct{ *loader.Dataplane }

// Loaded returns the dataplane of the running kernel as a Table takes it.
func Loaded(dp *loader.Dataplane) Dataplane { return loaded{dp} }

func (d loaded) Ring(id loader.ServiceID) (Ring, error) {
	r, err := d.Dataplane.Ring(id)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (d loaded) Second(id loader.ServiceID) (Ring, error) {
	r, err := d.Dataplane.Second(id)
	if err != nil {
		return nil, err
	}
	return r, nil
}
