package loader

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/cilium/ebpf"
)

// Sizes of the tables, as multiples of Options.MaxFlows.
const (
	// A nat flow takes two lines. At four lines a flow the table is half full
	// at most, and about 4 % of its flows find their four lines taken.
	linesPerFlow = 4
	// The overflow table holds those, with room to spare.
	flowsPerOverflow = 8
	// Handshakes in progress, two keys each in nat. A flood turns the table
	// over without touching established flows, so it need not be large.
	flowsPerEmbryo = 2

	minTable = 4096 // below it an LRU evicts long before it is full
)

// flowLines is the number of cache lines for maxFlows flows, a power of two.
func flowLines(maxFlows int) uint32 {
	return uint32(1) << bits.Len(uint(max(maxFlows*linesPerFlow, minTable)-1))
}

func size(spec *ebpf.CollectionSpec, maxFlows int) {
	spec.Maps["flows"].MaxEntries = flowLines(maxFlows)
	spec.Maps["flows_overflow"].MaxEntries = uint32(max(maxFlows/flowsPerOverflow, minTable))
	spec.Maps["embryos"].MaxEntries = uint32(max(maxFlows/flowsPerEmbryo, minTable))
}

func (l Lifetimes) withDefaults() Lifetimes {
	or := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	or(&l.Embryo, 60*time.Second)
	or(&l.Established, 120*time.Hour)
	or(&l.HalfClosed, 2*time.Minute)
	or(&l.Closed, 10*time.Second)
	or(&l.Young, 10*time.Second)
	or(&l.Doubt, min(2*time.Hour+15*time.Minute, l.Established))
	return l
}

// byState orders the lifetimes as enum flow_state does. A young flow without
// data lives as long as a handshake; a killed one long enough to answer what
// still arrives.
func (l Lifetimes) byState() [6]uint32 {
	return [6]uint32{
		FlowYoung:       ticks(l.Embryo),
		FlowEstablished: ticks(l.Established),
		FlowHalfClosed:  ticks(l.HalfClosed),
		FlowClosed:      ticks(l.Closed),
		FlowKilled:      ticks(l.HalfClosed),
	}
}

// setConstants fills what the programs hold as constants.
func setConstants(spec *ebpf.CollectionSpec, key hashKey, lines uint32, o Options) error {
	l := o.Lifetimes
	for name, value := range map[string]any{
		"hash_key":        [2]uint64(key),
		"flow_mask":       lines - 1,
		"lifetime":        l.byState(),
		"embryo_lifetime": ticks(l.Embryo),
		"young_proof":     ticks(l.Young),
		"doubt_lifetime":  ticks(l.Doubt),
		"always_look_up":  boolWord(o.AlwaysLookUp),
	} {
		v, ok := spec.Variables[name]
		if !ok {
			return fmt.Errorf("set constant %q: the program has none of that name", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("set constant %q: %v", name, err)
		}
	}
	return nil
}

func boolWord(on bool) uint32 {
	if on {
		return 1
	}
	return 0
}
