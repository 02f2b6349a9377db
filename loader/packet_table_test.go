package loader

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// clear empties the tables, so that no case meets the flows of another.
func (r *rig) clear(t testing.TB) {
	t.Helper()
	r.clearFlows(t)
	emptyMap(t, r.d.objs.Embryos)
}

// clearFlows leaves the handshakes.
func (r *rig) clearFlows(t testing.TB) {
	t.Helper()
	clear(r.mapFlows(t))
	emptyMap(t, r.d.objs.FlowsOverflow)
}

// mapFlows is the flow table itself, until the end of the test.
func (r *rig) mapFlows(t testing.TB) []bpfFlow {
	t.Helper()
	mem, err := unix.Mmap(r.d.objs.Flows.FD(), 0, int(r.d.lines)*flowSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	mustRig(t, err)
	t.Cleanup(func() { mustRig(t, unix.Munmap(mem)) })
	return unsafe.Slice((*bpfFlow)(unsafe.Pointer(&mem[0])), r.d.lines)
}

// emptyMap deletes every key of a map of flows.
func emptyMap(t testing.TB, m *ebpf.Map) {
	t.Helper()
	var key bpfFlowKey
	for {
		if err := m.NextKey(nil, &key); errors.Is(err, ebpf.ErrKeyNotExist) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if err := m.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			t.Fatal(err)
		}
	}
}

// forwardKey is the key of the entry towards the backend.
func (c *talk) forwardKey() bpfFlowKey {
	return bpfFlowKey{Addr: toAddr(c.client.Addr()), Port: swap16(c.client.Port()), Owner: uint32(c.id)}
}

func (c *talk) forwardHash() uint64 { return c.d.key.flow(c.client, c.d.key.salt(c.svc.Listen)) }

// change edits the entry towards the backend in its line, or in the overflow.
func (c *talk) change(t testing.TB, edit func(*bpfFlow)) {
	t.Helper()
	key := c.forwardKey()
	line, f, err := c.d.find(key, c.forwardHash())
	mustRig(t, err)
	if f == nil {
		t.Fatal("the flow has no entry")
	}
	edit(f)
	if line == NoLine {
		mustRig(t, c.d.objs.FlowsOverflow.Put(&key, f))
		return
	}
	mustRig(t, c.d.objs.Flows.Put(line, f))
}

// embryo is the handshake in progress under a key.
func (c *talk) embryo(t testing.TB, key bpfFlowKey) (e bpfEmbryo, ok bool) {
	t.Helper()
	err := c.d.objs.Embryos.Lookup(&key, &e)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return e, false
	}
	mustRig(t, err)
	return e, true
}

// ageEmbryos makes both keys of a handshake older.
func (c *talk) ageEmbryos(t testing.TB, by uint32) {
	t.Helper()
	for _, key := range []bpfFlowKey{c.forwardKey(), c.backKey()} {
		if e, ok := c.embryo(t, key); ok {
			e.Made -= by
			mustRig(t, c.d.objs.Embryos.Put(&key, &e))
		}
	}
}

// aim makes every entry of the ring name one member, and puts the ring back
// afterwards.
func (s stand) aim(t *testing.T, m MemberID) (restore func()) {
	t.Helper()
	ring, err := s.d.Ring(s.id)
	mustRig(t, err)
	for i := range RingEntries {
		ring.Set(i, m)
	}
	return func() { s.fillRing(t, s.family, s.kind) }
}
