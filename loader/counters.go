package loader

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// MemberCounters returns the counters of every member that has a record. They
// only grow while the maps live, whatever becomes of the member: an id that is
// given to another member goes on from where it stood.
func (d *Dataplane) MemberCounters() (map[MemberID]MemberCounters, error) {
	d.mu.Lock()
	ids := make(map[MemberID]bool, len(d.members))
	last := 0
	for id := range d.members {
		ids[id] = true
		last = max(last, int(id)+1)
	}
	d.mu.Unlock()
	out := make(map[MemberID]MemberCounters, len(ids))
	err := eachBatch(d.objs.MemberCounts, "member counters", ebpf.MustPossibleCPU(), last, func(id uint32, cpus []bpfMemberCounters) {
		if ids[MemberID(id)] {
			out[MemberID(id)] = sumMember(cpus)
		}
	})
	return out, err
}

func sumMember(cpus []bpfMemberCounters) (m MemberCounters) {
	for _, c := range cpus {
		m.PacketsIn += c.PacketsIn
		m.BytesIn += c.BytesIn
		m.PacketsOut += c.PacketsOut
		m.BytesOut += c.BytesOut
		m.FlowsOpened += c.FlowsOpened
		m.FlowsClosed += c.FlowsClosed
		m.SYNs += c.Syns
		m.Resets += c.Resets
		m.Headers += c.Headers
		m.FlowsRevived += c.FlowsRevived
	}
	return m
}

// ServiceCounters returns the counters of every service that has a record, on
// the same terms as MemberCounters.
func (d *Dataplane) ServiceCounters() (map[ServiceID]ServiceCounters, error) {
	d.mu.Lock()
	ids := make(map[ServiceID]bool, len(d.services))
	last := 0
	for id := range d.services {
		ids[id] = true
		last = max(last, int(id)+1)
	}
	d.mu.Unlock()
	out := make(map[ServiceID]ServiceCounters, len(ids))
	err := eachBatch(d.objs.ServiceCounts, "service counters", ebpf.MustPossibleCPU(), last, func(id uint32, cpus []bpfServiceCounters) {
		if ids[ServiceID(id)] {
			out[ServiceID(id)] = sumService(cpus)
		}
	})
	return out, err
}

func sumService(cpus []bpfServiceCounters) (s ServiceCounters) {
	for _, c := range cpus {
		s.PacketsIn += c.PacketsIn
		s.BytesIn += c.BytesIn
		s.SYNs += c.Syns
		s.Refused += c.Refused
		s.FlowsUnprotected += c.FlowsUnprotected
		s.NoReturnPath += c.NoReturnPath
		s.ICMPErrors += c.IcmpErrors
	}
	return s
}

// Drops returns the counter of every drop reason, in the order of enum
// drop_reason, including those at zero.
func (d *Dataplane) Drops() ([]DropCounter, error) {
	out := make([]DropCounter, 0, bpfDropReasonDROP_REASONS)
	err := eachBatch(d.objs.Drops, "drop counters", ebpf.MustPossibleCPU(), int(bpfDropReasonDROP_REASONS), func(id uint32, cpus []bpfDropCounter) {
		reason := bpfDropReason(id)
		if reason == bpfDropReasonDROP_NONE || reason >= bpfDropReasonDROP_REASONS {
			return
		}
		c := DropCounter{Reason: reason.name()}
		for _, v := range cpus {
			c.Packets += v.Packets
			c.Bytes += v.Bytes
		}
		out = append(out, c)
	})
	return out, err
}

// EventsLost is how many events found the ring buffer full since the maps were
// made.
func (d *Dataplane) EventsLost() (uint64, error) {
	var cpus []bpfEventPace
	if err := d.objs.EventPaces.Lookup(uint32(0), &cpus); err != nil {
		return 0, fmt.Errorf("read count of lost events: %v", err)
	}
	var sum uint64
	for _, c := range cpus {
		sum += c.Lost
	}
	return sum, nil
}

// dropNames are the reasons as users see them.
var dropNames = map[bpfDropReason]string{
	bpfDropReasonDROP_BAD_HEADER:      "bad_header",
	bpfDropReasonDROP_LENGTH:          "length",
	bpfDropReasonDROP_IP_OPTIONS:      "ip_options",
	bpfDropReasonDROP_IPV6EXTENSION:   "ipv6_extension",
	bpfDropReasonDROP_FRAGMENT:        "fragment",
	bpfDropReasonDROP_TTL:             "ttl",
	bpfDropReasonDROP_NOT_OWNER:       "not_owner",
	bpfDropReasonDROP_NO_BACKEND:      "no_backend",
	bpfDropReasonDROP_UNKNOWN_FLOW:    "unknown_flow",
	bpfDropReasonDROP_TABLE_FULL:      "table_full",
	bpfDropReasonDROP_PORTS_EXHAUSTED: "ports_exhausted",
	bpfDropReasonDROP_PORT_CONFLICT:   "port_conflict",
	bpfDropReasonDROP_NO_NEXT_HOP:     "no_next_hop",
	bpfDropReasonDROP_TOO_BIG:         "too_big",
	bpfDropReasonDROP_EGRESS:          "egress",
	bpfDropReasonDROP_VLAN:            "vlan",
	bpfDropReasonDROP_NO_LISTENER:     "no_listener",
	bpfDropReasonDROP_KILLED:          "killed",
	bpfDropReasonDROP_DENIED:          "denied",
	bpfDropReasonDROP_BANNED:          "banned",
	bpfDropReasonDROP_SYN_RATE:        "syn_rate",
	bpfDropReasonDROP_SOURCE_FULL:     "source_full",
	bpfDropReasonDROP_CHALLENGED:      "challenged",
	bpfDropReasonDROP_CHALLENGE_MET:   "challenge_met",
	bpfDropReasonDROP_INTERNAL:        "internal",
	bpfDropReasonDROP_TCP_SIGNATURE:   "tcp_signature",
	bpfDropReasonDROP_TOO_BIG_UNTOLD:  "too_big_untold",
	bpfDropReasonDROP_NO_HEADROOM:     "no_headroom",
	bpfDropReasonDROP_CONGESTED:       "congested",
}

// name is the reason as users see it. A reason this process does not know came
// from a newer program.
func (r bpfDropReason) name() string {
	if n, ok := dropNames[r]; ok {
		return n
	}
	return fmt.Sprintf("unknown_%d", uint32(r))
}
