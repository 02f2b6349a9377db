package loader

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// MaxPrefixes is how many prefixes each of the denied, the exempt and the
// banned may have, MAX_PREFIXES of bpf/shared.h. Bans of single sources do not
// count among them.
const MaxPrefixes = 16384

// MaxBans is how many single sources may be banned, MAX_BANS of bpf/shared.h.
const MaxBans = 131072

// Bits of enum guard_bit.
const (
	guardDeny        = 1 << 0
	guardExempt      = 1 << 1
	guardBans        = 1 << 2
	guardBanPrefixes = 1 << 3
	guardSources     = 1 << 4
)

// Guard is who may not come in, bans apart. The zero Guard lets everyone in.
type Guard struct {
	// Deny may send nothing to a VIP. Exempt is never kept out, by nothing.
	Deny, Exempt []netip.Prefix
	// SYNInterval is the time between two new connections of one source, an
	// IPv4 address or an IPv6 /64, 0 for any rate; SYNBurst is by how much it
	// may be ahead of that for once.
	SYNInterval, SYNBurst time.Duration
	// FlowsPerSource is how many flows a source may have established, 0 for
	// any number.
	FlowsPerSource int
	// Challenge asks unknown sources to prove their address while more
	// handshakes begin than can be kept.
	Challenge bool
}

// Rule is a denied or exempt prefix or a ban, and what it kept out or let past.
type Rule struct {
	Prefix netip.Prefix
	// Until is when a ban ends, by CLOCK_MONOTONIC; 0 is never.
	Until          time.Duration
	Packets, Bytes uint64
}

// SetGuard makes g the guard. What stays of it stays in force meanwhile. Where
// it fails, some of the change may be in force; calling it again with the
// earlier guard takes that back.
func (d *Dataplane) SetGuard(g Guard) error {
	if err := d.setPrefixes(d.objs.Exempts, "exempt", g.Exempt); err != nil {
		return err
	}
	if err := d.setDenied(g.Deny); err != nil {
		return err
	}
	return d.control(func(c *bpfControl) {
		c.SynInterval, c.SynBurst = uint64(g.SYNInterval), uint64(g.SYNBurst)
		c.FlowsPerSource = uint32(g.FlowsPerSource)
		c.EmbryoBudget = 0
		if g.Challenge {
			c.EmbryoBudget = d.embryoBudget()
		}
		c.PortBudget = d.portBudget(c)
		setBit(&c.Guard, guardDeny, len(g.Deny) > 0)
		setBit(&c.Guard, guardExempt, len(g.Exempt) > 0)
		setBit(&c.Guard, guardSources, c.SynInterval > 0 || c.FlowsPerSource > 0 || c.EmbryoBudget > 0)
	})
}

func setBit(word *uint32, bit uint32, on bool) {
	*word &^= bit
	if on {
		*word |= bit
	}
}

// embryoTime is how long a handshake must be kept for a slow client to finish.
const embryoTime = 10 * time.Second

// embryoBudget is how many handshakes may begin per CPU and tick. The table
// holds two keys for each, and an LRU forgets the oldest.
func (d *Dataplane) embryoBudget() uint32 {
	keep := ticks(embryoTime)
	return max(d.objs.Embryos.MaxEntries()/2/keep/uint32(ebpf.MustPossibleCPU()), 1)
}

// Pressed reports whether more handshakes begin than can be kept, so that
// unknown sources are challenged.
func (d *Dataplane) Pressed() (bool, error) {
	now, err := monotonic()
	if err != nil {
		return false, err
	}
	var until uint32
	if err := d.objs.Pressures.Lookup(uint32(0), &until); err != nil {
		return false, fmt.Errorf("read pressure: %v", err)
	}
	return until != 0 && int32(until-now) > 0, nil
}

// portBudget is how many may begin, per CPU and tick, for each address of a
// source pool: each holds a port towards one backend for as long as a handshake
// is kept, and half of the ports are for others.
func (d *Dataplane) portBudget(c *bpfControl) uint32 {
	var ports uint32
	for i := range c.PoolLo {
		if lo, hi := uint32(c.PoolLo[i]), uint32(c.PoolHi[i]); lo > 0 && lo <= hi {
			ports += hi - lo + 1
		}
	}
	return max(ports/2/d.embryo/uint32(ebpf.MustPossibleCPU()), 1)
}

func (d *Dataplane) setPrefixes(m *ebpf.Map, what string, prefixes []netip.Prefix) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	have, err := rules(m)
	if err != nil {
		return fmt.Errorf("read %s prefixes: %v", what, err)
	}
	want := make(map[netip.Prefix]bool, len(prefixes))
	for _, p := range prefixes {
		want[p.Masked()] = true
	}
	for p := range have {
		if !want[p] {
			key := toPrefix(p)
			if err := m.Delete(&key); err != nil {
				return fmt.Errorf("remove %s prefix %s: %v", what, p, err)
			}
		}
	}
	for p := range want {
		if _, there := have[p]; !there {
			key := toPrefix(p)
			if err := m.Put(&key, &bpfRule{}); err != nil {
				return fmt.Errorf("add %s prefix %s: %v", what, p, err)
			}
		}
	}
	return nil
}

// Denied returns the denied prefixes and what they kept out.
func (d *Dataplane) Denied() ([]Rule, error) { return prefixes(d.objs.Denies, "denied") }

// Exempt returns the exempt prefixes and what they let past: packets of denied
// prefixes, and those that begin a connection.
func (d *Dataplane) Exempt() ([]Rule, error) { return prefixes(d.objs.Exempts, "exempt") }

func prefixes(m *ebpf.Map, what string) ([]Rule, error) {
	all, err := rules(m)
	if err != nil {
		return nil, fmt.Errorf("read %s prefixes: %v", what, err)
	}
	return sortedRules(all), nil
}

// SourcePrefix is what the guard takes for one client: an IPv4 address, or the
// /64 of an IPv6 address.
func SourcePrefix(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // bits fit the family
	return p
}

// Ban keeps new connections from a prefix out until a time of CLOCK_MONOTONIC,
// 0 for ever. A ban that is in force gets the new end and keeps its counters.
func (d *Dataplane) Ban(p netip.Prefix, until time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, key := d.banOf(p)
	var r bpfRule
	if err := m.Lookup(key, &r); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("ban %s: %v", p, err)
	}
	r.Until = uint64(until)
	if err := m.Put(key, &r); err != nil {
		return fmt.Errorf("ban %s: %v", p, err)
	}
	return d.markBans()
}

// Unban takes a ban back. It is not an error if there was none.
func (d *Dataplane) Unban(p netip.Prefix) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, key := d.banOf(p)
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("unban %s: %v", p, err)
	}
	return d.markBans()
}

// Bans returns the bans, also those that are over, by prefix.
func (d *Dataplane) Bans() ([]Rule, error) {
	all, err := rules(d.objs.BanPrefixes)
	if err != nil {
		return nil, fmt.Errorf("read bans: %v", err)
	}
	var key bpfAddr
	var r bpfRule
	it := d.objs.Bans.Iterate()
	for it.Next(&key, &r) {
		p := SourcePrefix(fromAddr(key))
		all[p] = r
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read bans: %v", err)
	}
	return sortedRules(all), nil
}

// banOf is where the ban of a prefix stands: a single source is found by one
// look-up in a hash, anything else by its longest prefix.
func (d *Dataplane) banOf(p netip.Prefix) (*ebpf.Map, any) {
	p = p.Masked()
	if p == SourcePrefix(p.Addr()) {
		key := toAddr(p.Addr())
		return d.objs.Bans, &key
	}
	key := toPrefix(p)
	return d.objs.BanPrefixes, &key
}

// markBans tells the programs which tables of bans have anything in them. mu
// is held.
func (d *Dataplane) markBans() error {
	return d.changeControl(func(c *bpfControl) {
		setBit(&c.Guard, guardBans, hasKey[bpfAddr](d.objs.Bans))
		setBit(&c.Guard, guardBanPrefixes, hasKey[bpfPrefix](d.objs.BanPrefixes))
	})
}

func hasKey[K any](m *ebpf.Map) bool {
	var first K
	return m.NextKey(nil, &first) == nil
}

func rules(m *ebpf.Map) (map[netip.Prefix]bpfRule, error) {
	all := map[netip.Prefix]bpfRule{}
	var key bpfPrefix
	var r bpfRule
	it := m.Iterate()
	for it.Next(&key, &r) {
		all[fromPrefix(key)] = r
	}
	return all, it.Err()
}

func sortedRules(all map[netip.Prefix]bpfRule) []Rule {
	list := make([]Rule, 0, len(all))
	for _, p := range slices.SortedFunc(maps.Keys(all), netip.Prefix.Compare) {
		r := all[p]
		list = append(list, Rule{Prefix: p, Until: time.Duration(r.Until), Packets: r.Packets, Bytes: r.Bytes})
	}
	return list
}

// Bits of a key in front of those people write: the word that tells the
// families apart, and for IPv4 what maps the address.
const (
	familyBits = 32
	mappedBits = 96
)

func toPrefix(p netip.Prefix) bpfPrefix {
	p = p.Masked()
	key := bpfPrefix{Length: uint32(familyBits + p.Bits()), Addr: toAddr(p.Addr())}
	if p.Addr().Is4() {
		key.Length += mappedBits
	} else {
		key.V6 = 1
	}
	return key
}

func fromPrefix(p bpfPrefix) netip.Prefix {
	a, length := netip.AddrFrom16(p.Addr.B), int(p.Length)-familyBits
	if p.V6 == 0 {
		a, length = a.Unmap(), length-mappedBits
	}
	return netip.PrefixFrom(a, length)
}
