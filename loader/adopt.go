package loader

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

// adopt reads the records an earlier process left in the pinned maps.
func (d *Dataplane) adopt() error {
	d.services = map[ServiceID]Service{}
	d.published = map[ServiceID]bool{}
	d.listeners = map[ServiceID]uint32{}
	d.members = map[MemberID]Member{}
	d.hosts = map[MemberID]uint32{}
	d.owners = map[netip.Addr]uint32{}
	d.elected = map[netip.Addr]bool{}
	d.rings = map[ServiceID]*Ring{}
	d.seconds = map[ServiceID]*Ring{}
	d.hops = map[NextHopID]NextHop{}
	for _, step := range []func() error{d.adoptElected, d.adoptServices, d.adoptPublished, d.adoptMembers, d.adoptNextHops} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// adoptElected finds the owner words that another process writes: none changes
// its place while this one comes and goes.
func (d *Dataplane) adoptElected() error {
	var key bpfAddr
	var word uint32
	it := d.objs.Elected.Iterate()
	for it.Next(&key, &word) {
		vip := fromAddr(key)
		d.owners[vip], d.elected[vip] = word, true
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read pinned elections: %v", err)
	}
	return nil
}

func (d *Dataplane) adoptServices() error {
	return eachOf(d.objs.Services, "services", func(id uint32, r bpfService) {
		if r.Mode == 0 {
			return
		}
		s := decodeService(r)
		d.services[ServiceID(id)] = s
		d.owners[s.Listen.Addr()] = r.Owner
		d.listeners[ServiceID(id)] = r.Listener
	})
}

func (d *Dataplane) adoptPublished() error {
	var key bpfListen
	var id uint32
	it := d.objs.ServiceIds.Iterate()
	for it.Next(&key, &id) {
		d.published[ServiceID(id)] = true
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read pinned services: %v", err)
	}
	return nil
}

func (d *Dataplane) adoptMembers() error {
	return eachOf(d.objs.Members, "members", func(id uint32, r bpfMember) {
		if r.Port == 0 {
			return
		}
		d.members[MemberID(id)] = decodeMember(r)
		d.hosts[MemberID(id)] = r.Host
	})
}

func (d *Dataplane) adoptNextHops() error {
	return eachOf(d.objs.NextHops, "next hops", func(id uint32, r bpfNextHop) {
		if r.Ifindex != 0 {
			d.hops[NextHopID(id)] = decodeNextHop(r)
		}
	})
}

// readBatch is how many records one system call reads.
const readBatch = 1024

// eachOf visits every record of an array map.
func eachOf[V any](m *ebpf.Map, name string, visit func(id uint32, v V)) error {
	return eachBatch(m, name, 1, int(m.MaxEntries()), func(id uint32, v []V) { visit(id, v[0]) })
}

// eachBatch visits the records of the first count elements of an array map,
// each a slice of per values.
func eachBatch[V any](m *ebpf.Map, name string, per, count int, visit func(id uint32, v []V)) error {
	var cursor ebpf.MapBatchCursor
	keys, values := make([]uint32, min(readBatch, count)), make([]V, min(readBatch, count)*per)
	for seen := 0; seen < count; {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("read pinned %s: %v", name, err)
		}
		for i := range n {
			visit(keys[i], values[i*per:(i+1)*per])
		}
		seen += n
		if err != nil || n == 0 {
			return nil
		}
	}
	return nil
}
