package steering

import (
	"net/netip"

	"sluice/loader"
)

// Counters are what was counted for a backend or a member, over restarts and
// over every id it ever had. They never go backwards. Bytes are IP total
// length; the out direction is seen in mode nat only.
type Counters struct {
	PacketsIn   uint64 `json:"packets_in"`
	BytesIn     uint64 `json:"bytes_in"`
	PacketsOut  uint64 `json:"packets_out"`
	BytesOut    uint64 `json:"bytes_out"`
	FlowsOpened uint64 `json:"flows_opened"`
	FlowsClosed uint64 `json:"flows_closed"`
	SYNs        uint64 `json:"syns"`
	Resets      uint64 `json:"resets"`
	Headers     uint64 `json:"headers"`
	// FlowsRevived are flows that were counted closed and went on: someone else
	// than their ends had sent a FIN or a reset.
	FlowsRevived uint64 `json:"flows_revived"`
}

func (c Counters) plus(d Counters) Counters {
	c.PacketsIn += d.PacketsIn
	c.BytesIn += d.BytesIn
	c.PacketsOut += d.PacketsOut
	c.BytesOut += d.BytesOut
	c.FlowsOpened += d.FlowsOpened
	c.FlowsClosed += d.FlowsClosed
	c.SYNs += d.SYNs
	c.Resets += d.Resets
	c.Headers += d.Headers
	c.FlowsRevived += d.FlowsRevived
	return c
}

func (c Counters) minus(d Counters) Counters {
	c.PacketsIn -= d.PacketsIn
	c.BytesIn -= d.BytesIn
	c.PacketsOut -= d.PacketsOut
	c.BytesOut -= d.BytesOut
	c.FlowsOpened -= d.FlowsOpened
	c.FlowsClosed -= d.FlowsClosed
	c.SYNs -= d.SYNs
	c.Resets -= d.Resets
	c.Headers -= d.Headers
	c.FlowsRevived -= d.FlowsRevived
	return c
}

func (c Counters) below(d Counters) bool {
	return c.PacketsIn < d.PacketsIn || c.BytesIn < d.BytesIn ||
		c.PacketsOut < d.PacketsOut || c.BytesOut < d.BytesOut ||
		c.FlowsOpened < d.FlowsOpened || c.FlowsClosed < d.FlowsClosed ||
		c.SYNs < d.SYNs || c.Resets < d.Resets || c.Headers < d.Headers ||
		c.FlowsRevived < d.FlowsRevived
}

// ServiceCounters are what was counted for a service as a whole, with the same
// promises as Counters.
type ServiceCounters struct {
	PacketsIn uint64 `json:"packets_in"`
	BytesIn   uint64 `json:"bytes_in"`
	SYNs      uint64 `json:"syns"`
	// Refused are new connections that were turned away.
	Refused uint64 `json:"refused"`
	// FlowsUnprotected are flows without an entry because the table was full.
	FlowsUnprotected uint64 `json:"flows_unprotected"`
	// NoReturnPath are SYNs whose SYN-ACK never came back through this node.
	NoReturnPath uint64 `json:"no_return_path"`
	// ICMPErrors were sent on to who sent the packet they quote.
	ICMPErrors uint64 `json:"icmp_errors"`
}

func (c ServiceCounters) plus(d ServiceCounters) ServiceCounters {
	c.PacketsIn += d.PacketsIn
	c.BytesIn += d.BytesIn
	c.SYNs += d.SYNs
	c.Refused += d.Refused
	c.FlowsUnprotected += d.FlowsUnprotected
	c.NoReturnPath += d.NoReturnPath
	c.ICMPErrors += d.ICMPErrors
	return c
}

func (c ServiceCounters) minus(d ServiceCounters) ServiceCounters {
	c.PacketsIn -= d.PacketsIn
	c.BytesIn -= d.BytesIn
	c.SYNs -= d.SYNs
	c.Refused -= d.Refused
	c.FlowsUnprotected -= d.FlowsUnprotected
	c.NoReturnPath -= d.NoReturnPath
	c.ICMPErrors -= d.ICMPErrors
	return c
}

func (c ServiceCounters) below(d ServiceCounters) bool {
	return c.PacketsIn < d.PacketsIn || c.BytesIn < d.BytesIn || c.SYNs < d.SYNs ||
		c.Refused < d.Refused || c.FlowsUnprotected < d.FlowsUnprotected ||
		c.NoReturnPath < d.NoReturnPath || c.ICMPErrors < d.ICMPErrors
}

// readings are the dataplane's counters at one moment, by id.
type readings struct {
	members  map[loader.MemberID]Counters
	services map[loader.ServiceID]ServiceCounters
}

func readCounters(dp Dataplane) (readings, error) {
	members, err := dp.MemberCounters()
	if err != nil {
		return readings{}, err
	}
	services, err := dp.ServiceCounters()
	if err != nil {
		return readings{}, err
	}
	r := readings{
		members:  make(map[loader.MemberID]Counters, len(members)),
		services: make(map[loader.ServiceID]ServiceCounters, len(services)),
	}
	for id, c := range members {
		r.members[id] = Counters(c)
	}
	for id, c := range services {
		r.services[id] = ServiceCounters(c)
	}
	return r, nil
}

// flowsNow returns how many flows of a member live. The two sums are not read
// at one instant, so a close may be seen before its open.
func (r readings) flowsNow(id loader.MemberID) uint64 {
	c := r.members[id]
	opened := c.FlowsOpened + c.FlowsRevived
	return opened - min(c.FlowsClosed, opened)
}

// flowsByBackend sums the living flows of each backend over its services.
func (m *model) flowsByBackend(r readings) map[netip.AddrPort]uint64 {
	flows := make(map[netip.AddrPort]uint64, len(m.backends))
	for id, mem := range m.members {
		flows[mem.record.Addr] += r.flowsNow(id)
	}
	return flows
}

// counted returns a model and readings that belong together: had an id passed
// to another backend in between, its counts would show up in the wrong line.
func (t *Table) counted() (*model, readings, error) {
	for {
		m := t.model.Load()
		r, err := readCounters(t.dp)
		if err != nil {
			return nil, readings{}, err
		}
		if t.model.Load().ledger.edition == m.ledger.edition {
			return m, r, nil
		}
	}
}
