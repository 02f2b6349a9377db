package loader

import (
	"context"
	"fmt"
)

// recordLines is how many lines are looked at between two calls of EachFlow's
// function: half a megabyte of table.
const recordLines = 1 << 13

// EachFlow reads the records of all flows that another gateway could go on with,
// and hands them over in portions of bounded size; what it hands over is the
// caller's for good. Flows whose header the backend has not acknowledged,
// handshakes, and flows that were killed or ended beyond doubt are left out. One
// that comes, goes or changes meanwhile may be missed: events tell of it. It ends
// with the error of do, or of ctx.
func (d *Dataplane) EachFlow(ctx context.Context, do func([]FlowRecord) error) error {
	for first := uint32(0); first < d.lines; first += recordLines {
		if err := ctx.Err(); err != nil {
			return err
		}
		records, err := d.windowRecords(first, min(recordLines, d.lines-first))
		if err == nil && len(records) > 0 {
			err = do(records)
		}
		if err != nil {
			return err
		}
	}
	return d.overflowRecords(ctx, do)
}

func (d *Dataplane) windowRecords(first, count uint32) ([]FlowRecord, error) {
	now, err := monotonic()
	if err != nil {
		return nil, err
	}
	var list []FlowRecord
	var failed error
	_, err = d.readWindow(first, count, readLine, func(_ uint32, f *bpfFlow) bool {
		list, failed = d.appendRecord(list, f, now)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return list, err
}

func (d *Dataplane) overflowRecords(ctx context.Context, do func([]FlowRecord) error) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	var list []FlowRecord
	var failed error
	err = d.scanOverflow(ctx, func(_ bpfFlowKey, f *bpfFlow) bool {
		if list, failed = d.appendRecord(list, f, now); failed == nil && len(list) >= recordLines {
			failed = do(list)
			list = nil
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil || len(list) == 0 {
		return err
	}
	return do(list)
}

// Records returns the records of certain flows, those left out that EachFlow
// leaves out: for who was told of them by an event.
func (d *Dataplane) Records(keys []FlowKey) ([]FlowRecord, error) {
	now, err := monotonic()
	if err != nil {
		return nil, err
	}
	var list []FlowRecord
	for _, k := range keys {
		f, err := d.entry(k)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		if list, err = d.appendRecord(list, f, now); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// entry is the one of a flow towards its backend, nil where there is none.
func (d *Dataplane) entry(k FlowKey) (*bpfFlow, error) {
	d.mu.Lock()
	s, ok := d.services[k.Service]
	d.mu.Unlock()
	if !ok {
		return nil, nil
	}
	_, f, err := d.find(k.key(), d.key.flow(k.Client, d.key.salt(s.Listen)))
	return f, err
}

func (k FlowKey) key() bpfFlowKey {
	return bpfFlowKey{Addr: toAddr(k.Client.Addr()), Port: swap16(k.Client.Port()), Owner: uint32(k.Service)}
}

// appendRecord adds the record of an entry, if it has one.
func (d *Dataplane) appendRecord(list []FlowRecord, f *bpfFlow, now uint32) ([]FlowRecord, error) {
	state := FlowState(f.Status & statusState)
	doubts := f.Status & statusDoubts
	switch {
	case f.Owner&flowReverse != 0, f.Status&(statusHeader|statusHeaderClosed) == statusHeader:
		return list, nil
	case state < FlowYoung || state > FlowClosed || state == FlowClosed && doubts == 0, d.absent(f, now):
		return list, nil
	}
	r := FlowRecord{
		FlowKey: FlowKey{Service: ServiceID(f.Owner), Client: fromAddrPort(f.Addr, f.Port)},
		Member:  MemberID(f.Member), State: state, Sequence: f.Sequence,
		Idle: fromTicks(uint32(max(int32(now-f.Seen), 0))), Age: fromTicks(uint32(max(int32(now-f.Opened), 0))),
	}
	for i, bits := range recordBits {
		if f.Status&bits == bits {
			r.Flags |= 1 << i
		}
	}
	if r.Flags&FlowHeader != 0 {
		r.ISN = f.Status&statusISN | uint32(f.IsnLow)
	}
	if f.PeerPort == 0 {
		return append(list, r), nil
	}
	r.Source = fromAddrPort(f.Peer, f.PeerPort)
	// In nat the bit says that the flow was imported here.
	r.Flags &^= FlowAdvanced
	if r.Flags&FlowBackendDoubt != 0 {
		back, err := d.answers(r)
		if err != nil {
			return list, fmt.Errorf("read flow of %s: %v", r.Client, err)
		}
		if back != nil {
			r.BackSequence = back.Sequence
		}
	}
	return append(list, r), nil
}

// answers is the entry for answers of a flow, nil where there is none.
func (d *Dataplane) answers(r FlowRecord) (*bpfFlow, error) {
	d.mu.Lock()
	host := d.hosts[r.Member]
	d.mu.Unlock()
	key := bpfFlowKey{Addr: toAddr(r.Source.Addr()), Port: swap16(r.Source.Port()), Owner: flowReverse | host}
	_, f, err := d.find(key, d.key.endpoint(r.Source, uint16(host)))
	return f, err
}
