package loader

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
)

// slackTicks is by how much the programs' coarse clock may be behind ours, and
// one more: what is absent by that is absent for every packet to come.
const slackTicks = 2

// lookup is one look through both tables.
type lookup struct {
	d        *Dataplane
	now      uint32
	services map[ServiceID]Service // one-way
	salts    map[ServiceID]uint64
	rings    map[ServiceID]*Ring
	listens  map[netip.AddrPort]ServiceID
	hosts    map[uint32]netip.AddrPort
	found    map[ServiceID]*Found
	stuck    int // lines that somebody never finished
}

// Doubts looks through both tables completely and returns, for each one-way
// service, which marks its ring entries must keep: moved where a living flow or
// handshake names another member than the entry does, pending where one lives
// that is not simply established. Services without any are left out.
//
// Handshakes come first: one that completes meanwhile is found among the flows.
func (d *Dataplane) Doubts(ctx context.Context) (map[ServiceID]*Found, error) {
	l, err := d.newLookup()
	if err != nil {
		return nil, err
	}
	if err := l.embryos(ctx); err != nil {
		return nil, err
	}
	err = d.readLines(ctx, l.readLine, func(_ uint32, f *bpfFlow) bool { l.flow(f); return true })
	if err == nil {
		err = d.scanOverflow(ctx, func(_ bpfFlowKey, f *bpfFlow) bool { l.flow(f); return true })
	}
	if err == nil && l.stuck > 0 {
		err = fmt.Errorf("look for doubts: %d lines of the flow table are not to be read", l.stuck)
	}
	if err != nil {
		return nil, err
	}
	return l.found, nil
}

func (d *Dataplane) newLookup() (*lookup, error) {
	now, err := monotonic()
	if err != nil {
		return nil, err
	}
	l := &lookup{
		d: d, now: now,
		services: map[ServiceID]Service{}, salts: map[ServiceID]uint64{}, rings: map[ServiceID]*Ring{},
		listens: map[netip.AddrPort]ServiceID{}, hosts: map[uint32]netip.AddrPort{}, found: map[ServiceID]*Found{},
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, s := range d.services {
		if r, ok := d.rings[id]; ok && s.Mode.OneWay() {
			l.services[id], l.rings[id], l.salts[id] = s, r, d.key.salt(s.Listen)
			l.listens[s.Listen] = id
		}
	}
	for id, m := range d.members {
		l.hosts[d.hosts[id]] = m.Addr
	}
	return l, nil
}

func (l *lookup) embryos(ctx context.Context) error {
	var cursor ebpf.MapBatchCursor
	keys, values := make([]bpfFlowKey, readBatch), make([]bpfEmbryo, readBatch)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := l.d.objs.Embryos.BatchLookup(&cursor, keys, values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("read handshakes: %v", err)
		}
		for i := range n {
			if int32(l.now-values[i].Made) <= int32(l.d.embryo+slackTicks) {
				l.entry(keys[i].Owner, keys[i].Addr, keys[i].Port, values[i].Member, Pending)
			}
		}
		if err != nil {
			return nil
		}
	}
}

func (l *lookup) flow(f *bpfFlow) {
	if l.d.absent(f, l.now-slackTicks) {
		return
	}
	marks := Pending
	if FlowState(f.Status&statusState) == FlowEstablished {
		marks = 0
	}
	l.entry(f.Owner, f.Addr, f.Port, uint32(f.Member), marks)
}

// entry notes what a flow or handshake says of its ring entry.
func (l *lookup) entry(owner uint32, addr bpfAddr, port uint16, member uint32, marks Marks) {
	if owner&flowReverse != 0 {
		l.answers(owner&^flowReverse, fromAddrPort(addr, port))
		return
	}
	id := ServiceID(owner)
	s, ok := l.services[id]
	if !ok {
		return
	}
	at := l.d.key.entry(fromAddrPort(addr, port), s, l.salts[id])
	if now, there := l.member(id, at); there && now != MemberID(member) {
		marks |= Moved
	}
	l.add(id, at, marks)
}

// answers is a flow of another service whose answers go to an address that a
// one-way service has: their sender must not be taken for a client.
func (l *lookup) answers(host uint32, to netip.AddrPort) {
	id, ok := l.listens[to]
	if !ok {
		return
	}
	if from, known := l.hosts[host]; known {
		l.add(id, l.d.key.entry(from, l.services[id], l.salts[id]), Moved)
	}
}

func (l *lookup) add(id ServiceID, at int, marks Marks) {
	if marks == 0 {
		return
	}
	if l.found[id] == nil {
		l.found[id] = &Found{}
	}
	l.found[id].Add(at, marks)
}

// member reads a ring that may be given back at any moment.
func (l *lookup) member(id ServiceID, at int) (MemberID, bool) {
	l.d.ringUse.RLock()
	defer l.d.ringUse.RUnlock()
	r := l.rings[id]
	if r.gone {
		return 0, false
	}
	return r.Get(at), true
}

// absent says that an entry towards a backend is past its lifetime, as
// flow_expired has it.
func (d *Dataplane) absent(f *bpfFlow, now uint32) bool {
	state := FlowState(f.Status & statusState)
	if f.Owner&flowReverse != 0 || int(state) >= len(d.lifetimes) {
		return false
	}
	if state == FlowYoung && f.Status&statusAdvanced != 0 {
		state = FlowEstablished
	}
	limit := d.lifetimes[state]
	if f.Status&statusDoubts != 0 && (state == FlowHalfClosed || state == FlowClosed) {
		limit = d.doubtLimit(f)
	}
	return int32(now-f.Seen) > int32(limit)
}

// lineTries is how often a line is read that others write: far longer than a
// program takes for it.
const lineTries = 1 << 20

// readLine is the package's readLine for who must miss nothing: it waits for a
// line that is being written.
func (l *lookup) readLine(mem []byte, f *bpfFlow) bool {
	word := (*uint32)(unsafe.Pointer(&mem[0]))
	for range lineTries {
		before := atomic.LoadUint32(word)
		if before == lineFree {
			return false
		}
		if before&lineLive != 0 && readLine(mem, f) {
			return true
		}
		runtime.Gosched()
	}
	l.stuck++
	return false
}
