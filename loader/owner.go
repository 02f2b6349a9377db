package loader

import (
	"fmt"
	"net/netip"
)

// maxVIPs is MAX_VIPS of bpf/shared.h.
const maxVIPs = 1024

// owner is the index of a VIP's owner word. A new word that is open has no
// deadline: this node steers for the VIP until an election says otherwise.
// Where other nodes terminate the VIP's connections, too, it begins closed.
func (d *Dataplane) owner(vip netip.Addr, open bool) (uint32, error) {
	if i, ok := d.owners[vip]; ok {
		return i, nil
	}
	used := make(map[uint32]bool, len(d.owners))
	for _, i := range d.owners {
		used[i] = true
	}
	word := bpfOwner{}
	if open {
		word.Active = 1
	}
	for i := range uint32(maxVIPs) {
		if used[i] {
			continue
		}
		if err := d.objs.Owners.Put(i, &word); err != nil {
			return 0, fmt.Errorf("open owner word of VIP %s: %v", vip, err)
		}
		d.owners[vip] = i
		return i, nil
	}
	return 0, fmt.Errorf("open owner word of VIP %s: all %d are taken", vip, maxVIPs)
}

// SetOwner opens or closes the owner word of a VIP, without a deadline. The VIP
// must be that of a service with a record.
func (d *Dataplane) SetOwner(vip netip.Addr, open bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, ok := d.owners[vip]
	if !ok {
		return fmt.Errorf("set owner of VIP %s: no service has it", vip)
	}
	var was, word bpfOwner
	if open {
		word.Active = 1
	}
	if err := d.objs.Owners.Lookup(i, &was); err != nil {
		return fmt.Errorf("read owner word of VIP %s: %v", vip, err)
	}
	if was == word {
		return nil
	}
	if err := d.objs.Owners.Put(i, &word); err != nil {
		return fmt.Errorf("set owner of VIP %s: %v", vip, err)
	}
	return nil
}

// Owner says whether this node may steer for a VIP by its owner word; its
// deadline is left out of account.
func (d *Dataplane) Owner(vip netip.Addr) (open bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, ok := d.owners[vip]
	if !ok {
		return false, fmt.Errorf("read owner of VIP %s: no service has it", vip)
	}
	var word bpfOwner
	if err := d.objs.Owners.Lookup(i, &word); err != nil {
		return false, fmt.Errorf("read owner word of VIP %s: %v", vip, err)
	}
	return word.Active != 0, nil
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
