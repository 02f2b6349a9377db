package steering

import (
	"net/netip"
	"time"

	"sluice/loader"
)

// index is the flow table as one sweep found it. It is never changed after it
// was published, so that a million flows are listed without holding up
// anybody.
type index struct {
	// begun is the time on the flows' clock at which the sweep began, at the
	// same on the wall.
	begun time.Duration
	at    time.Time
	// chunks hold the flows; all but the last are full.
	chunks   [][]entry
	members  map[loader.MemberID]*census
	services map[loader.ServiceID]int
}

// chunkLen keeps the pieces small that the index grows by: nothing is copied
// on the way to a million.
const chunkLen = 8192

// entry is one flow, packed: no pointers for the collector to follow.
type entry struct {
	client, source         [16]byte
	clientPort, sourcePort uint16
	state                  loader.FlowState
	line, word             uint32
	service                loader.ServiceID
	member                 loader.MemberID
	opened, seen           time.Duration
	id                     loader.ConnectionID
}

// census counts the flows of one member by state.
type census [loader.FlowKilled + 1]int

func (c census) all() int {
	sum := 0
	for _, n := range c {
		sum += n
	}
	return sum
}

// open counts those that are certainly not closed: only a half-closed flow can
// have been counted as closed and live on.
func (c census) open() int { return c[loader.FlowYoung] + c[loader.FlowEstablished] }

// living counts those that a drain waits for.
func (c census) living() int { return c.open() + c[loader.FlowHalfClosed] }

func newIndex(begun time.Duration, at time.Time) *index {
	return &index{
		begun: begun, at: at,
		members:  map[loader.MemberID]*census{},
		services: map[loader.ServiceID]int{},
	}
}

func (x *index) add(f loader.Flow) {
	last := len(x.chunks) - 1
	if last < 0 || len(x.chunks[last]) == chunkLen {
		x.chunks = append(x.chunks, make([]entry, 0, chunkLen))
		last++
	}
	x.chunks[last] = append(x.chunks[last], pack(f))
	c := x.members[f.Member]
	if c == nil {
		c = new(census)
		x.members[f.Member] = c
	}
	c[min(f.State, loader.FlowKilled)]++
	x.services[f.Service]++
}

// of returns the census of one member.
func (x *index) of(id loader.MemberID) census {
	if c := x.members[id]; c != nil {
		return *c
	}
	return census{}
}

func (x *index) len() int {
	if len(x.chunks) == 0 {
		return 0
	}
	return (len(x.chunks)-1)*chunkLen + len(x.chunks[len(x.chunks)-1])
}

func (x *index) entryAt(i uint32) *entry { return &x.chunks[i/chunkLen][i%chunkLen] }

// idle returns how long a flow had been silent when the sweep began.
func (x *index) idle(e *entry) time.Duration { return max(0, x.begun-e.seen) }

func pack(f loader.Flow) entry {
	e := entry{
		client: f.Client.Addr().As16(), clientPort: f.Client.Port(),
		state: f.State, line: f.Line, word: f.Word,
		service: f.Service, member: f.Member, opened: f.Opened, seen: f.Seen, id: f.ID,
	}
	if f.Source.IsValid() {
		e.source, e.sourcePort = f.Source.Addr().As16(), f.Source.Port()
	}
	return e
}

func (e *entry) clientAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(e.client).Unmap(), e.clientPort)
}

// flow is the reverse of pack.
func (e *entry) flow() loader.Flow {
	f := loader.Flow{
		Client: e.clientAddr(), State: e.state, Line: e.line, Word: e.word,
		Service: e.service, Member: e.member, Opened: e.opened, Seen: e.seen, ID: e.id,
	}
	if e.sourcePort != 0 {
		f.Source = netip.AddrPortFrom(netip.AddrFrom16(e.source).Unmap(), e.sourcePort)
	}
	return f
}
