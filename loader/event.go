package loader

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// eventReader reads the ring buffer. It is separate from Dataplane's lock: a
// reader blocks.
type eventReader struct {
	reader *ringbuf.Reader
}

func (r *eventReader) open(m *ebpf.Map) error {
	reader, err := ringbuf.NewReader(m)
	if err != nil {
		return fmt.Errorf("open event ring buffer: %v", err)
	}
	r.reader = reader
	return nil
}

func (r *eventReader) close() error {
	if r.reader == nil {
		return nil
	}
	return r.reader.Close()
}

// ReadEvent waits for the next event. After Close it returns an error that
// wraps os.ErrClosed.
func (d *Dataplane) ReadEvent() (Event, error) {
	record, err := d.events.reader.Read()
	if errors.Is(err, ringbuf.ErrClosed) {
		return Event{}, fmt.Errorf("read event: %w", os.ErrClosed)
	}
	if err != nil {
		return Event{}, fmt.Errorf("read event: %v", err)
	}
	if len(record.RawSample) < int(unsafe.Sizeof(bpfEvent{})) {
		return Event{}, fmt.Errorf("read event: %d bytes are too few", len(record.RawSample))
	}
	return d.decodeEvent((*bpfEvent)(unsafe.Pointer(&record.RawSample[0]))), nil
}

func (d *Dataplane) decodeEvent(r *bpfEvent) Event {
	e := Event{
		Kind:      EventKind(r.Kind),
		Time:      time.Duration(r.Time),
		Service:   ServiceID(r.Service),
		Member:    MemberID(r.Member),
		Client:    fromAddrPort(r.Addr, r.Port),
		Interface: int(r.Ifindex),
	}
	if r.PeerPort != 0 {
		e.Source = fromAddrPort(r.Peer, r.PeerPort)
	}
	if r.Header != 0 {
		e.ID = d.connectionID(e.Service, e.Client, r.Isn)
	}
	if e.Kind == EventRefused {
		e.Reason = bpfDropReason(r.Reason).name()
	}
	return e
}
