package loader

import (
	"fmt"
	"net/netip"
	"time"
)

// admitFlows is ADMIT_BATCH of bpf/shared.h.
const admitFlows = 16

// Admitted is a flow that was established elsewhere.
type Admitted struct {
	Client  netip.AddrPort
	Service ServiceID
	Member  MemberID
	Opened  time.Duration // CLOCK_MONOTONIC of this node
}

// Admit makes entries for established flows of one-way services that this node
// did not see begin, whatever its rings say. It returns how many it made: a
// flow that has an entry keeps that, and one of a service or member without a
// record gets none.
func (d *Dataplane) Admit(flows []Admitted) (made int, err error) {
	for len(flows) > 0 {
		n := min(len(flows), admitFlows)
		args := bpfAdmitArgs{Count: uint32(n)}
		for i, f := range flows[:n] {
			args.Flows[i] = bpfAdmitted{
				Client: toAddr(f.Client.Addr()), Port: swap16(f.Client.Port()),
				Service: uint32(f.Service), Member: uint32(f.Member), Opened: ticks(f.Opened),
			}
		}
		if err := d.admit(&args); err != nil {
			return made, fmt.Errorf("admit flows: %v", err)
		}
		made += int(args.Done)
		flows = flows[n:]
	}
	return made, nil
}

func (d *Dataplane) admit(args *bpfAdmitArgs) error {
	d.expireMu.Lock()
	defer d.expireMu.Unlock()
	return d.timed(func() error { return runBatch(d.objs.AdmitBatch, d.objs.Admit, args) })
}
