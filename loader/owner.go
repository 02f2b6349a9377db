package loader

import (
	"fmt"
	"net/netip"
)

// maxVIPs is MAX_VIPS of bpf/shared.h.
const maxVIPs = 1024

// owner is the index of a VIP's owner word. A new word is open without a
// deadline: this node steers for the VIP until an election says otherwise.
func (d *Dataplane) owner(vip netip.Addr) (uint32, error) {
	if i, ok := d.owners[vip]; ok {
		return i, nil
	}
	used := make(map[uint32]bool, len(d.owners))
	for _, i := range d.owners {
		used[i] = true
	}
	for i := range uint32(maxVIPs) {
		if used[i] {
			continue
		}
		if err := d.objs.Owners.Put(i, &bpfOwner{Active: 1}); err != nil {
			return 0, fmt.Errorf("open owner word of VIP %s: %v", vip, err)
		}
		d.owners[vip] = i
		return i, nil
	}
	return 0, fmt.Errorf("open owner word of VIP %s: all %d are taken", vip, maxVIPs)
}

// forgetOwner frees the owner word of a VIP that no service has any more.
func (d *Dataplane) forgetOwner(vip netip.Addr) {
	for _, s := range d.services {
		if s.Listen.Addr() == vip {
			return
		}
	}
	delete(d.owners, vip)
}
