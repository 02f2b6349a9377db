package loader

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What follows lets the tests of this package's surface look inside.

// Steer is the steering program, to be run on single frames.
func (d *Dataplane) Steer() *ebpf.Program { return d.objs.Steer }

// Indexes are the host ids by member and the owner words by VIP, which are
// rebuilt from the maps when they are adopted.
func (d *Dataplane) Indexes() (map[MemberID]uint32, map[netip.Addr]uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.hosts), maps.Clone(d.owners)
}

// Hosts are the addresses whose packets the programs take for answers.
func (d *Dataplane) Hosts() map[netip.AddrPort]uint32 {
	out := map[netip.AddrPort]uint32{}
	var key bpfHostKey
	var id uint32
	for it := d.objs.Hosts.Iterate(); it.Next(&key, &id); {
		out[fromAddrPort(key.Addr, key.Port)] = id
	}
	return out
}

// VIPs are the addresses that fragments are recognised by, with the number of
// services that steer.
func (d *Dataplane) VIPs() map[netip.Addr]uint32 {
	out := map[netip.Addr]uint32{}
	var key bpfAddr
	var v bpfVip
	for it := d.objs.Vips.Iterate(); it.Next(&key, &v); {
		out[fromAddr(key)] = v.Services
	}
	return out
}

// Egress are the interfaces that frames may leave by.
func (d *Dataplane) Egress() map[uint32]uint32 {
	out := map[uint32]uint32{}
	var named, carrier uint32
	for it := d.objs.Egress.Iterate(); it.Next(&named, &carrier); {
		out[named] = carrier
	}
	return out
}

// Twin loads the programs a second time against the maps of d.
func (d *Dataplane) Twin(o Options) (*Dataplane, error) {
	twin := &Dataplane{pins: d.pins, key: d.key, lines: d.lines, lifetimes: d.lifetimes}
	return twin, twin.load(o.withDefaults())
}

// Attach puts the programs of d in place of those that are attached.
func (d *Dataplane) Attach(o Options) error {
	d.attachments = nil
	return d.attach(o.withDefaults())
}

// CloseTwin lets a twin go.
func (d *Dataplane) CloseTwin() error { return d.objs.Close() }

// Around has fn run every call of the expire programs.
func (d *Dataplane) Around(fn func(call func() error) error) { d.around = fn }

// HopIndex is the neighbours that the programs know an id for.
func (d *Dataplane) HopIndex() map[string]uint32 {
	out := map[string]uint32{}
	var key bpfNextHopKey
	var id uint32
	for it := d.objs.NextHopIds.Iterate(); it.Next(&key, &id); {
		out[fmt.Sprintf("%d %x", key.Ifindex, key.Destination)] = id
	}
	return out
}

// Mark adds marks to a ring entry as the programs do, whatever member it names.
func (r *Ring) Mark(i int, marks uint32) { atomic.OrUint32(r.word(i), marks&^ringMember) }

// Clear takes marks from a ring entry as a sweep does.
func (r *Ring) Clear(i int, marks uint32) { atomic.AndUint32(r.word(i), ^marks|ringMember) }

// Marks are the marks of a ring entry.
func (r *Ring) Marks(i int) uint32 { return atomic.LoadUint32(r.word(i)) &^ ringMember }

// InMap is the ring entry as the programs read it.
func (r *Ring) InMap(i int) (uint32, error) {
	var words [2]uint32
	err := r.entries.Lookup(uint32(i/2), &words)
	return words[i%2], err
}

// Entries counts those of both directions.
func (d *Dataplane) Entries(ctx context.Context) (n int, err error) {
	err = d.scanLines(ctx, func(uint32, *bpfFlow) bool { n++; return true })
	if err != nil {
		return n, err
	}
	return n, d.scanOverflow(ctx, func(bpfFlowKey, *bpfFlow) bool { n++; return true })
}

// Embryos counts the handshakes that the table holds, of both directions, those
// past their lifetime, too.
func (d *Dataplane) Embryos() (n int, err error) {
	var key bpfFlowKey
	var e bpfEmbryo
	it := d.objs.Embryos.Iterate()
	for it.Next(&key, &e) {
		n++
	}
	return n, it.Err()
}

// Age makes every entry as old as if nothing had come for so long.
// No packet may come meanwhile.
func (d *Dataplane) Age(by time.Duration) error {
	mem, err := unix.Mmap(d.objs.Flows.FD(), 0, int(d.lines)*flowSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	lines := unsafe.Slice((*bpfFlow)(unsafe.Pointer(&mem[0])), d.lines)
	for i := range lines {
		f := &lines[i]
		f.Seen -= ticks(by)
		// Of an entry for answers it is the way to the client.
		if f.Owner&flowReverse == 0 {
			f.Opened -= ticks(by)
		}
	}
	return unix.Munmap(mem)
}
