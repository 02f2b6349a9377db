package loader

import (
	"errors"
	"fmt"
	"maps"
	"net"

	"github.com/cilium/ebpf"
)

// nextHopReady is NEXT_HOP_READY of bpf/shared.h.
const nextHopReady = 1 << 0

// NextHops returns the next hops the maps hold.
func (d *Dataplane) NextHops() (map[NextHopID]NextHop, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.hops), nil
}

// PutNextHop writes a next hop. Members that name id use it from the next
// packet on. A hop that is not ready drops what is sent to it, counted as
// no_next_hop. The zero NextHop frees the id.
func (d *Dataplane) PutNextHop(id NextHopID, n NextHop) error {
	if id == 0 || id >= MaxNextHops {
		return fmt.Errorf("put next hop %d: ids run from 1 to %d", id, MaxNextHops-1)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	record := encodeNextHop(n)
	if old, ok := d.hops[id]; ok && hopKey(old) != hopKey(n) {
		if err := d.forgetHop(id, old); err != nil {
			return err
		}
	}
	if err := d.objs.NextHops.Put(uint32(id), &record); err != nil {
		return fmt.Errorf("put next hop %d: %v", id, err)
	}
	if n.Interface == 0 {
		delete(d.hops, id)
		return nil
	}
	d.hops[id] = n
	if !n.Ready {
		return d.forgetHop(id, n)
	}
	key := hopKey(n)
	if err := d.objs.NextHopIds.Put(&key, uint32(id)); err != nil {
		return fmt.Errorf("index next hop %d: %v", id, err)
	}
	return nil
}

// forgetHop makes the programs ask the routing table instead, unless another id
// stands for the neighbour: a router of both families has one each.
func (d *Dataplane) forgetHop(id NextHopID, n NextHop) error {
	key := hopKey(n)
	var indexed uint32
	err := d.objs.NextHopIds.Lookup(&key, &indexed)
	if errors.Is(err, ebpf.ErrKeyNotExist) || err == nil && NextHopID(indexed) != id {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look next hop %s up in the index: %v", n.Destination, err)
	}
	if err := d.objs.NextHopIds.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("drop next hop %s from the index: %v", n.Destination, err)
	}
	return nil
}

func hopKey(n NextHop) bpfNextHopKey {
	return bpfNextHopKey{Ifindex: uint32(n.Interface), Destination: mac(n.Destination)}
}

func encodeNextHop(n NextHop) bpfNextHop {
	r := bpfNextHop{
		Ifindex:     uint32(n.Interface),
		Destination: mac(n.Destination),
		Source:      mac(n.Source),
		Vlan:        n.VLAN,
		Mtu:         n.MTU,
	}
	if n.Ready {
		r.Flags = nextHopReady
	}
	return r
}

func decodeNextHop(r bpfNextHop) NextHop {
	return NextHop{
		Interface:   int(r.Ifindex),
		Source:      r.Source[:],
		Destination: r.Destination[:],
		VLAN:        r.Vlan,
		MTU:         r.Mtu,
		Ready:       r.Flags&nextHopReady != 0,
	}
}

func mac(a net.HardwareAddr) (b [6]uint8) {
	copy(b[:], a)
	return b
}
