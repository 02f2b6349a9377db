package loader

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
)

// Nodes are the nodes that terminate services with Service.Nodes, or hold their
// VIPs. What another one sent on to this one is never sent on again.
type Nodes struct {
	// MACs are what the others send frames by, for services in ModeDSR. A router
	// must not be among them: all that comes through it would count as sent on.
	MACs []net.HardwareAddr
	// Own are addresses of this node that others send packets to inside others
	// (ModeIPIP, ModeGUE), and Others where such packets may come from.
	Own, Others []netip.Addr
}

// Roles of an address of a node, enum node_role.
const (
	nodeOwn   = 1 << 0
	nodeOther = 1 << 1
)

// SetNodes says who the nodes are.
func (d *Dataplane) SetNodes(n Nodes) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	macs := make(map[bpfNodeMac]uint32, len(n.MACs))
	for _, m := range n.MACs {
		if len(m) == len(bpfNodeMac{}.Mac) {
			macs[bpfNodeMac{Mac: mac(m)}] = 1
		}
	}
	addrs := make(map[bpfAddr]uint32, len(n.Own)+len(n.Others))
	for _, a := range n.Own {
		addrs[toAddr(a)] |= nodeOwn
	}
	for _, a := range n.Others {
		addrs[toAddr(a)] |= nodeOther
	}
	if err := replace(d.objs.NodeMacs, macs); err != nil {
		return fmt.Errorf("put MACs of nodes: %v", err)
	}
	if err := replace(d.objs.NodeAddrs, addrs); err != nil {
		return fmt.Errorf("put addresses of nodes: %v", err)
	}
	return d.changeControl(func(c *bpfControl) { c.Parcels = uint32(min(len(n.Own), 1)) })
}

// replace makes a hash hold want; what comes goes before what leaves.
func replace[K comparable](m *ebpf.Map, want map[K]uint32) error {
	for key, value := range want {
		if err := m.Put(&key, value); err != nil {
			return err
		}
	}
	var key K
	var value uint32
	var gone []K
	it := m.Iterate()
	for it.Next(&key, &value) {
		if _, stays := want[key]; !stays {
			gone = append(gone, key)
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	for _, key := range gone {
		if err := m.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}
