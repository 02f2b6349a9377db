package loader

import (
	"fmt"
	"net"
	"time"
)

// control is the record of what changes while the programs run.
func (d *Dataplane) control(change func(*bpfControl)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changeControl(change)
}

// changeControl is control for those who hold mu.
func (d *Dataplane) changeControl(change func(*bpfControl)) error {
	var c bpfControl
	if err := d.objs.Controls.Lookup(uint32(0), &c); err != nil {
		return fmt.Errorf("read control record: %v", err)
	}
	change(&c)
	if err := d.objs.Controls.Put(uint32(0), &c); err != nil {
		return fmt.Errorf("write control record: %v", err)
	}
	return nil
}

// SetResetUnknown says whether packets of no known flow are answered by a
// reset from now on, or dropped in silence because this node may still learn
// of the flow.
func (d *Dataplane) SetResetUnknown(on bool) error {
	now, err := clock()
	if err != nil {
		return err
	}
	if !on {
		now = 0
	}
	return d.SetResetUnknownFrom(now)
}

// SetResetUnknownFrom is SetResetUnknown from a moment of CLOCK_MONOTONIC on, so
// that it holds though this process be gone by then: some time after another
// gateway has told of all its flows. 0 is never.
func (d *Dataplane) SetResetUnknownFrom(at time.Duration) error {
	return d.control(func(c *bpfControl) { c.ResetUnknownFrom = uint64(max(at, 0)) })
}

// SetPorts sets the two spans of source ports for nat, both ends included; a
// span with lo > hi is empty. Ports in use stay in use.
func (d *Dataplane) SetPorts(lo1, hi1, lo2, hi2 uint16) error {
	return d.control(func(c *bpfControl) {
		c.PoolLo, c.PoolHi = [2]uint16{lo1, lo2}, [2]uint16{hi1, hi2}
		c.PortBudget = d.portBudget(c)
	})
}

// BumpRoutes makes every flow ask anew for its way back to the client.
func (d *Dataplane) BumpRoutes() error {
	return d.control(func(c *bpfControl) { c.RouteEpoch++ })
}

// SetCheckLink names our end of the health-check veth, 0 for none, and the MAC
// of the stack's end.
func (d *Dataplane) SetCheckLink(ifindex int, stack net.HardwareAddr) error {
	if ifindex != 0 {
		if err := d.allowEgress(ifindex, ifindex); err != nil {
			return err
		}
	}
	return d.control(func(c *bpfControl) {
		c.CheckIfindex = uint32(ifindex)
		c.CheckMac = mac(stack)
	})
}
