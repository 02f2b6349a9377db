package loader

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
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
	word := bpfOwner{}
	if open {
		word.Active = 1
	}
	return d.newOwner(vip, word)
}

// newOwner takes a word that no VIP has. mu is held.
func (d *Dataplane) newOwner(vip netip.Addr, word bpfOwner) (uint32, error) {
	used := make(map[uint32]bool, len(d.owners))
	for _, i := range d.owners {
		used[i] = true
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
// must be that of a service with a record, and none that is elected.
func (d *Dataplane) SetOwner(vip netip.Addr, open bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, ok := d.owners[vip]
	if !ok {
		return fmt.Errorf("set owner of VIP %s: no service has it", vip)
	}
	if d.elected[vip] {
		return fmt.Errorf("set owner of VIP %s: an election decides about it", vip)
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

// SetElected says about which VIPs an election decides, with or without a
// service. Their words are closed from the moment they become so, and from then
// on are written by [Owners] alone; the word of one that is no longer elected
// stays as it is until SetOwner. Programs keep questions for an elected VIP whose
// word is closed from the stack, and its packets, too.
func (d *Dataplane) SetElected(vips []netip.Addr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	want := make(map[netip.Addr]bool, len(vips))
	for _, vip := range vips {
		want[vip] = true
	}
	for vip := range d.elected {
		if !want[vip] {
			if err := d.unelect(vip); err != nil {
				return err
			}
		}
	}
	for _, vip := range vips {
		if err := d.elect(vip); err != nil {
			return err
		}
	}
	return d.changeControl(func(c *bpfControl) { c.Elections = uint32(len(d.elected)) })
}

// elect closes the word of a VIP before anybody else can find it.
func (d *Dataplane) elect(vip netip.Addr) error {
	if d.elected[vip] {
		return nil
	}
	i, ok := d.owners[vip]
	if ok {
		if err := d.objs.Owners.Put(i, &bpfOwner{}); err != nil {
			return fmt.Errorf("close owner word of VIP %s: %v", vip, err)
		}
	} else {
		var err error
		if i, err = d.newOwner(vip, bpfOwner{}); err != nil {
			return err
		}
	}
	key := toAddr(vip)
	if err := d.objs.Elected.Put(&key, i); err != nil {
		return fmt.Errorf("hand owner word of VIP %s to its election: %v", vip, err)
	}
	d.elected[vip] = true
	return nil
}

func (d *Dataplane) unelect(vip netip.Addr) error {
	key := toAddr(vip)
	if err := d.objs.Elected.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("take owner word of VIP %s from its election: %v", vip, err)
	}
	delete(d.elected, vip)
	d.forgetOwner(vip)
	return nil
}

// forgetOwner frees the owner word of a VIP that no service and no election has
// any more.
func (d *Dataplane) forgetOwner(vip netip.Addr) {
	if d.elected[vip] {
		return
	}
	for _, s := range d.services {
		if s.Listen.Addr() == vip {
			return
		}
	}
	delete(d.owners, vip)
}
