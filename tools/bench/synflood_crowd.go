package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
)

// answerPatience is when somebody of the crowd counts as lost.
const answerPatience = 30 * time.Second

// gather opens the crowd's connections and returns when each has an established
// entry.
func (b *besieged) gather(ctx context.Context, count int, young time.Duration) (err error) {
	if b.crowd, err = nettest.OpenConns(ctx, b.client, crowdAddr, count); err != nil {
		return fmt.Errorf("open %d connections: %v; %s", count, err, b.gateway.drops())
	}
	for deadline := time.Now().Add(answerPatience + 5*young); ; {
		if lost := b.lost(); lost > 0 {
			return fmt.Errorf("open connections: %d of %d give no answer; %s", lost, count, b.gateway.drops())
		}
		s, err := b.look(ctx)
		if err != nil || len(s.crowd) == count {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("open connections: %d of %d have an established entry; %s", len(s.crowd), count, b.gateway.drops())
		}
		// In dsr a packet proves the flow that comes late enough.
		if err := pause(ctx, young/2); err != nil {
			return err
		}
	}
}

// lost counts who of the crowd gets no answer any more.
func (b *besieged) lost() int {
	var lost atomic.Int64
	var asked sync.WaitGroup
	for i := range b.crowd {
		asked.Go(func() {
			if b.crowd[i:i+1].Exchange([]byte("are you there?"), answerPatience) != nil {
				lost.Add(1)
			}
		})
	}
	asked.Wait()
	return int(lost.Load())
}

// state is what a flood must not change.
type state struct {
	crowd    map[netip.AddrPort]bool // who has an established entry
	entries  int                     // of everybody
	memory   float64                 // of all maps, in MB
	received uint64                  // by the flood's interface, in frames
}

// without counts those of the crowd that had an entry and have none.
func (s state) without(later state) int {
	n := 0
	for client := range s.crowd {
		if !later.crowd[client] {
			n++
		}
	}
	return n
}

func (b *besieged) look(ctx context.Context) (s state, err error) {
	s.crowd = make(map[netip.AddrPort]bool)
	err = b.gateway.dp.Scan(ctx, func(f loader.Flow) bool {
		s.entries++
		if f.Service == crowdService && f.State == loader.FlowEstablished && f.Client.Addr() == clientAddr {
			s.crowd[f.Client] = true
		}
		return true
	})
	if err != nil {
		return s, err
	}
	link, err := b.gw.Netlink().LinkByName(b.gateway.nearName())
	if err != nil {
		return s, fmt.Errorf("look at the flood's interface: %v", err)
	}
	s.received = link.Attrs().Statistics.RxPackets
	s.memory, err = b.memory()
	return s, err
}
