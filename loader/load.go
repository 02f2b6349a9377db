package loader

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loadUnit is what one flow weighs at a weight of 1: a common multiple would be
// exact, this is fine enough for weights up to thousands.
const loadUnit = 1 << 24

// Load is what a member has to do.
type Load struct {
	Flows  uint64
	Weight uint32 // not 0
}

// SetLoads tells the programs what members have to do at present, as often as it
// can be known. In between they count the flows they add.
func (d *Dataplane) SetLoads(loads map[MemberID]Load) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.mapLoads(); err != nil {
		return err
	}
	for id, l := range loads {
		if id >= MaxMembers || l.Weight == 0 {
			return fmt.Errorf("set load of member %d: id up to %d and a weight are needed", id, MaxMembers-1)
		}
		step := max(1, loadUnit/uint64(l.Weight))
		at := (*bpfLoad)(unsafe.Pointer(&d.loads[int(id)*int(unsafe.Sizeof(bpfLoad{}))]))
		atomic.StoreUint64(&at.Step, step)
		atomic.StoreUint64(&at.Value, l.Flows*step)
	}
	return nil
}

func (d *Dataplane) mapLoads() (err error) {
	if d.loads != nil {
		return nil
	}
	size := pages(MaxMembers * int(unsafe.Sizeof(bpfLoad{})))
	d.loads, err = unix.Mmap(d.objs.Loads.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map loads of members: %v", err)
	}
	return nil
}
