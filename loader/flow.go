package loader

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// NoLine is the Line of a flow in the overflow table.
const NoLine = ^uint32(0)

// Values of bpf/shared.h.
const (
	flowReverse = 1 << 31
	lineLive    = 1 << 31
	lineFree    = 0
	statusState = 0x3f

	statusCountedClosed = 1 << 10
	statusAdvanced      = 1 << 11
	statusDoubts        = 1<<13 | 1<<14
	// statusHeader says that the flow began with a PROXY header; the high half
	// of the word is that of the client's initial sequence number.
	statusHeader       = 1 << 6
	statusHeaderClosed = 1 << 7 // the backend has acknowledged it
	statusISN          = 0xffff0000
	// statusAdopted says of a nat flow that another gateway saw it begin.
	statusAdopted = statusAdvanced
)

// flowSize is a cache line.
const flowSize = 64

// windowLines is how much of the table is mapped at a time: 4 MiB, so that a
// sweep over a large table does not make the process large.
const windowLines = 1 << 16

// Scan visits every established flow once, from the client's side, in no
// particular order, until visit returns false or ctx ends. It reads the mapped
// table and asks the kernel once per window, so traffic does not notice it.
// Flows that come or go meanwhile may be missed.
func (d *Dataplane) Scan(ctx context.Context, visit func(Flow) bool) error {
	more := true
	err := d.scanLines(ctx, func(line uint32, f *bpfFlow) bool {
		if f.Owner&flowReverse == 0 {
			more = visit(d.decodeFlow(line, f))
		}
		return more
	})
	if err != nil || !more {
		return err
	}
	return d.scanOverflow(ctx, func(key bpfFlowKey, f *bpfFlow) bool {
		return f.Owner&flowReverse != 0 || visit(d.decodeFlow(NoLine, f))
	})
}

// scanLines visits every live line, both directions.
func (d *Dataplane) scanLines(ctx context.Context, visit func(line uint32, f *bpfFlow) bool) error {
	return d.readLines(ctx, readLine, visit)
}

// lineReader copies a line; false where there is nothing in it to visit.
type lineReader func(mem []byte, f *bpfFlow) bool

func (d *Dataplane) readLines(ctx context.Context, read lineReader, visit func(line uint32, f *bpfFlow) bool) error {
	for first := uint32(0); first < d.lines; first += windowLines {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := d.readWindow(first, min(windowLines, d.lines-first), read, visit)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (d *Dataplane) readWindow(first, count uint32, read lineReader, visit func(line uint32, f *bpfFlow) bool) (more bool, err error) {
	mem, err := unix.Mmap(d.objs.Flows.FD(), int64(first)*flowSize, int(count)*flowSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return false, fmt.Errorf("map flow table from line %d: %v", first, err)
	}
	defer func() { err = errors.Join(err, unix.Munmap(mem)) }()
	for i := range count {
		var f bpfFlow
		if read(mem[i*flowSize:(i+1)*flowSize], &f) && !visit(first+i, &f) {
			return false, nil
		}
	}
	return true, nil
}

// readLine copies a live line. A line that changed while it was read is left
// out: its new content is another flow's.
func readLine(mem []byte, f *bpfFlow) bool {
	word := (*uint32)(unsafe.Pointer(&mem[0]))
	before := atomic.LoadUint32(word)
	if before&lineLive == 0 {
		return false
	}
	*f = *(*bpfFlow)(unsafe.Pointer(&mem[0]))
	f.Word = before
	return atomic.LoadUint32(word) == before
}

func (d *Dataplane) scanOverflow(ctx context.Context, visit func(key bpfFlowKey, f *bpfFlow) bool) error {
	var cursor ebpf.MapBatchCursor
	keys, flows := make([]bpfFlowKey, readBatch), make([]bpfFlow, readBatch)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := d.objs.FlowsOverflow.BatchLookup(&cursor, keys, flows, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("read overflow flows: %v", err)
		}
		for i := range n {
			if !visit(keys[i], &flows[i]) {
				return nil
			}
		}
		if err != nil {
			return nil
		}
	}
}

func (d *Dataplane) decodeFlow(line uint32, f *bpfFlow) Flow {
	out := Flow{
		Line:    line,
		Word:    f.Word,
		Client:  fromAddrPort(f.Addr, f.Port),
		Service: ServiceID(f.Owner),
		Member:  MemberID(f.Member),
		State:   FlowState(f.Status & statusState),
		Opened:  fromTicks(f.Opened),
		Seen:    fromTicks(f.Seen),
	}
	if f.PeerPort != 0 {
		if source := fromAddrPort(f.Peer, f.PeerPort); source != out.Client {
			out.Source = source
		}
	}
	if f.Status&statusHeader != 0 {
		out.ID = d.connectionID(out.Service, out.Client, f.Status&statusISN|uint32(f.IsnLow))
	}
	return out
}

// Find returns the established flow of a client with a service.
func (d *Dataplane) Find(id ServiceID, client netip.AddrPort) (Flow, bool, error) {
	d.mu.Lock()
	s, ok := d.services[id]
	d.mu.Unlock()
	if !ok {
		return Flow{}, false, nil
	}
	key := bpfFlowKey{Addr: toAddr(client.Addr()), Port: swap16(client.Port()), Owner: uint32(id)}
	line, f, err := d.find(key, d.key.flow(client, d.key.salt(s.Listen)))
	if err != nil || f == nil {
		return Flow{}, false, err
	}
	return d.decodeFlow(line, f), true, nil
}

// flowWays is FLOW_WAYS of bpf/shared.h.
const flowWays = 4

func (d *Dataplane) find(key bpfFlowKey, hash uint64) (uint32, *bpfFlow, error) {
	var f bpfFlow
	for way := range uint32(flowWays) {
		line := uint32(hash)&(d.lines-1) ^ way
		if err := d.objs.Flows.Lookup(line, &f); err != nil {
			return 0, nil, fmt.Errorf("read flow line %d: %v", line, err)
		}
		if f.Word == lineLive|uint32(hash>>33) && f.Owner == key.Owner && f.Port == key.Port && f.Addr == key.Addr {
			return line, &f, nil
		}
	}
	err := d.objs.FlowsOverflow.Lookup(&key, &f)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read overflow flow: %v", err)
	}
	return NoLine, &f, nil
}

// FlowHash is the ring entry a client of the service falls on. It needs no
// record in the maps.
func (d *Dataplane) FlowHash(client netip.AddrPort, s Service) (entry int) {
	return d.key.entry(client, s, d.key.salt(s.Listen))
}

// entry is the ring entry a client of the service that has the salt falls on.
func (k hashKey) entry(client netip.AddrPort, s Service, salt uint64) int {
	if s.ByClient {
		client = netip.AddrPortFrom(client.Addr(), 0)
	}
	return ringEntry(k.flow(client, salt))
}
