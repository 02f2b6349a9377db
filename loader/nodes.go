package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// nodeMAC is what a node sends by. It is zero until the node answered once.
type nodeMAC [6]uint8

// SetNodes says which next hops lead to other nodes. What comes from there for a
// service with Nodes was sent on to this node, and is never sent on again. A
// node that is silent for a while stays known by its MAC.
func (d *Dataplane) SetNodes(ids []NextHopID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	nodes := make(map[NextHopID]nodeMAC, len(ids))
	for _, id := range ids {
		nodes[id] = d.nodes[id]
		if n := d.hops[id]; n.Ready {
			nodes[id] = mac(n.Destination)
		}
	}
	if err := d.putNodeMACs(nodes); err != nil {
		return err
	}
	d.nodes = nodes
	return nil
}

// learnNode notes what a node sends by, if the next hop leads to one.
func (d *Dataplane) learnNode(id NextHopID, n NextHop) error {
	was, leads := d.nodes[id]
	now := nodeMAC(mac(n.Destination))
	if !leads || was == now {
		return nil
	}
	d.nodes[id] = now
	return d.putNodeMACs(d.nodes)
}

// putNodeMACs makes the map what nodes say; what comes goes before what leaves.
func (d *Dataplane) putNodeMACs(nodes map[NextHopID]nodeMAC) error {
	want := make(map[nodeMAC]bool, len(nodes))
	for _, m := range nodes {
		if m == (nodeMAC{}) || want[m] {
			continue
		}
		want[m] = true
		if err := d.objs.NodeMacs.Put(&bpfNodeMac{Mac: m}, uint32(1)); err != nil {
			return fmt.Errorf("put MAC of a node: %v", err)
		}
	}
	var key bpfNodeMac
	var value uint32
	var gone []bpfNodeMac
	it := d.objs.NodeMacs.Iterate()
	for it.Next(&key, &value) {
		if !want[key.Mac] {
			gone = append(gone, key)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read MACs of nodes: %v", err)
	}
	for _, key := range gone {
		if err := d.objs.NodeMacs.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete MAC of a node: %v", err)
		}
	}
	return nil
}
