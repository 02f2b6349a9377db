package loader

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ringMember masks the member out of a ring word, RING_MEMBER_MASK.
const ringMember = 0x00ffffff

// Marks of a ring word, RING_MOVED_NEW and those that follow it.
const (
	movedNew   = 1 << 31
	movedOld   = 1 << 30
	pendingNew = 1 << 29
	pendingOld = 1 << 28
	refreshed  = 1 << 27
)

// The map holds RING_WORDS entries an element: an array pads values to 8 bytes.
const (
	ringElement  = 8
	ringElements = RingEntries/2 + 1
)

// Ring is a service's hash table of RingEntries entries, mapped from the
// kernel: a store is seen by the next packet.
type Ring struct {
	mem     []byte
	entries *ebpf.Map
	gone    bool // guarded by Dataplane.ringUse
}

// Get returns the member of entry i, 0 for none. i must be in [0, RingEntries).
func (r *Ring) Get(i int) MemberID {
	return MemberID(atomic.LoadUint32(r.word(i)) & ringMember)
}

// Set makes m the member of entry i. A change marks the entry as moved in the
// same 32-bit store, so that the programs look its flows up from then on; other
// marks are left alone.
func (r *Ring) Set(i int, m MemberID) {
	r.change(i, func(old uint32) uint32 {
		if old&ringMember == uint32(m)&ringMember {
			return old
		}
		return old&^ringMember | uint32(m)&ringMember | movedNew
	})
}

// change replaces the word of entry i by what edit makes of it, in one store.
func (r *Ring) change(i int, edit func(old uint32) uint32) {
	w := r.word(i)
	for {
		old := atomic.LoadUint32(w)
		word := edit(old)
		if word == old || atomic.CompareAndSwapUint32(w, old, word) {
			return
		}
	}
}

func (r *Ring) word(i int) *uint32 {
	return (*uint32)(unsafe.Pointer(&r.mem[i*4]))
}

func (r *Ring) close() error {
	return errors.Join(unix.Munmap(r.mem), r.entries.Close())
}

// Ring returns the ring of a service, made empty at the first call. It stays
// valid until DeleteService or Close.
func (d *Dataplane) Ring(id ServiceID) (*Ring, error) {
	return d.ring(d.rings, d.objs.Rings, d.pins.ring(id), id)
}

// Second returns the ring of a service's second choices, on the same terms.
func (d *Dataplane) Second(id ServiceID) (*Ring, error) {
	return d.ring(d.seconds, d.objs.Seconds, d.pins.second(id), id)
}

func (d *Dataplane) ring(known map[ServiceID]*Ring, shown *ebpf.Map, pin string, id ServiceID) (*Ring, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := known[id]; ok {
		return r, nil
	}
	m, err := openRing(shown, pin, id)
	if err != nil {
		return nil, fmt.Errorf("open ring of service %d: %v", id, err)
	}
	mem, err := unix.Mmap(m.FD(), 0, pages(ringElements*ringElement), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map ring of service %d: %v", id, err), m.Close())
	}
	known[id] = &Ring{mem: mem, entries: m}
	return known[id], nil
}

// openRing adopts the pinned ring or makes one, and shows it to the programs.
// The pin comes first: a ring the programs have can always be found again.
func openRing(shown *ebpf.Map, pin string, id ServiceID) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(pin, nil)
	if errors.Is(err, os.ErrNotExist) {
		m, err = newRing(pin)
	}
	if err != nil {
		return nil, err
	}
	if err := shown.Put(uint32(id), m); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func newRing(pin string) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name:       "ring",
		Type:       ebpf.Array,
		KeySize:    4,
		ValueSize:  ringElement,
		MaxEntries: ringElements,
		Flags:      unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, err
	}
	if err := m.Pin(pin); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// dropRings takes both rings of a service away.
func (d *Dataplane) dropRings(id ServiceID) error {
	return errors.Join(
		d.dropRing(d.seconds, d.objs.Seconds, d.pins.second(id), id),
		d.dropRing(d.rings, d.objs.Rings, d.pins.ring(id), id))
}

func (d *Dataplane) dropRing(known map[ServiceID]*Ring, shown *ebpf.Map, pin string, id ServiceID) error {
	if err := shown.Delete(uint32(id)); err != nil && !isAbsent(err) {
		return fmt.Errorf("delete ring of service %d: %v", id, err)
	}
	if r, ok := known[id]; ok {
		d.ringUse.Lock()
		defer d.ringUse.Unlock()
		delete(known, id)
		r.gone = true
		if err := r.close(); err != nil {
			return fmt.Errorf("unmap ring of service %d: %v", id, err)
		}
	}
	if err := os.Remove(pin); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unpin ring of service %d: %v", id, err)
	}
	return nil
}

// pages rounds a length up to whole pages.
func pages(n int) int {
	page := unix.Getpagesize()
	return (n + page - 1) / page * page
}

// isAbsent says that there was nothing to delete: arrays of maps and of
// sockets report it in their own ways.
func isAbsent(err error) bool {
	return errors.Is(err, ebpf.ErrKeyNotExist) || errors.Is(err, unix.EINVAL)
}
