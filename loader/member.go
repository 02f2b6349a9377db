package loader

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"net/netip"

	"github.com/cilium/ebpf"
)

// Changes counts the changes of services and members: who remembers them need not
// read them again while it stands.
func (d *Dataplane) Changes() uint64 { return d.changes.Load() }

// Members returns the members the maps hold.
func (d *Dataplane) Members() (map[MemberID]Member, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.members), nil
}

// PutMember writes the record of a member. Its service must have a record. New
// flows reach it once a ring names it, living ones as long as it stands.
func (d *Dataplane) PutMember(id MemberID, m Member) error {
	if id == 0 || id >= MaxMembers {
		return fmt.Errorf("put member %d: ids run from 1 to %d", id, MaxMembers-1)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.services[m.Service]
	if !ok {
		return fmt.Errorf("put member %d (%s): service %d has no record", id, m.Addr, m.Service)
	}
	if m.Local && !s.Nodes {
		return fmt.Errorf("put member %d (%s): it cannot be this node, for the service does not end on nodes", id, m.Addr)
	}
	if err := checkSource(m); err != nil {
		return fmt.Errorf("put member %d (%s): %v", id, m.Addr, err)
	}
	host := d.host(id, m.Addr)
	record := encodeMember(m, s.Mode, host)
	if err := d.objs.Members.Put(uint32(id), &record); err != nil {
		return fmt.Errorf("put member %d (%s): %v", id, m.Addr, err)
	}
	old, moved := d.members[id]
	d.members[id], d.hosts[id] = m, host
	d.changes.Add(1)
	if moved && old.Addr != m.Addr {
		if err := d.dropHost(id, old.Addr); err != nil {
			return err
		}
	}
	if s.Mode != ModeNAT {
		return nil
	}
	key := toHostKey(m.Addr)
	if err := d.objs.Hosts.Put(&key, host); err != nil {
		return fmt.Errorf("put host %s: %v", m.Addr, err)
	}
	return nil
}

// Flags of a member record, enum member_flag.
const (
	memberIPIP = 1 << 0
	memberGUE  = 1 << 1
	memberHere = 1 << 2 // MEMBER_LOCAL
)

func encodeMember(m Member, mode Mode, host uint32) bpfMember {
	r := bpfMember{
		Addr:    toAddr(m.Addr.Addr()),
		Port:    swap16(m.Addr.Port()),
		Service: uint32(m.Service),
		Host:    host,
		NextHop: uint32(m.NextHop),
	}
	if mode == ModeIPIP {
		r.Flags = memberIPIP
	}
	if mode == ModeGUE {
		r.Flags = memberGUE
	}
	if m.Local {
		r.Flags |= memberHere
	}
	if m.Source.IsValid() {
		r.Source = toAddr(m.Source.Masked().Addr())
		r.Spread = bits.ReverseBytes32(uint32(1<<open(m.Source) - 1))
	}
	return r
}

func decodeMember(r bpfMember) Member {
	m := Member{
		Service: ServiceID(r.Service),
		Addr:    fromAddrPort(r.Addr, r.Port),
		NextHop: NextHopID(r.NextHop),
		Local:   r.Flags&memberHere != 0,
	}
	if r.Source != (bpfAddr{}) {
		source := fromAddr(r.Source)
		m.Source = netip.PrefixFrom(source, source.BitLen()-bits.OnesCount32(r.Spread))
	}
	return m
}

// open is how many bits a prefix leaves open.
func open(p netip.Prefix) int { return p.Addr().BitLen() - p.Bits() }

func checkSource(m Member) error {
	if p := m.Source; p.IsValid() && (p.Addr().Is4() != m.Addr.Addr().Is4() || open(p) > 32) {
		return fmt.Errorf("outer source %s is not of the backend's family, or leaves more than 32 bits open", p)
	}
	return nil
}

// DeleteMember removes a member. No ring may name it any more; flows it still
// has end.
func (d *Dataplane) DeleteMember(id MemberID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.members[id]
	if !ok {
		return nil
	}
	if err := d.dropHost(id, m.Addr); err != nil {
		return err
	}
	if err := d.objs.Members.Put(uint32(id), &bpfMember{}); err != nil {
		return fmt.Errorf("delete member %d (%s): %v", id, m.Addr, err)
	}
	delete(d.members, id)
	d.changes.Add(1)
	delete(d.hosts, id)
	return nil
}

func toHostKey(a netip.AddrPort) bpfHostKey {
	return bpfHostKey{Addr: toAddr(a.Addr()), Port: swap16(a.Port())}
}

// host is the id that answers from addr are recognised by: all members that
// name the address share it, because an answer does not say whose it is.
func (d *Dataplane) host(id MemberID, addr netip.AddrPort) uint32 {
	used := make(map[uint32]bool, len(d.hosts))
	for other, m := range d.members {
		if m.Addr == addr {
			return d.hosts[other]
		}
		if other != id {
			used[d.hosts[other]] = true
		}
	}
	// A member's own number is usually free, and then search ends at once.
	for h := uint32(id); ; h = (h + 1) % MaxMembers {
		if !used[h] {
			return h
		}
	}
}

// dropHost makes answers from an address that member id had none of ours,
// unless another member needs them.
func (d *Dataplane) dropHost(id MemberID, addr netip.AddrPort) error {
	if d.hostNeeded(id, addr) {
		return nil
	}
	key := toHostKey(addr)
	if err := d.objs.Hosts.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete host %s: %v", addr, err)
	}
	return nil
}

// hostNeeded says whether another nat member answers from addr.
func (d *Dataplane) hostNeeded(id MemberID, addr netip.AddrPort) bool {
	for other, m := range d.members {
		if other != id && m.Addr == addr && d.services[m.Service].Mode == ModeNAT {
			return true
		}
	}
	return false
}
