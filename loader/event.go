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
	// until is when to look for what came without a wake-up; zero is when woken.
	until time.Time
}

// eventQuiet is how long after a wake-up the programs do not wake the reader
// again, EVENT_QUIET_NS of bpf/shared.h. Who was woken looks once more when that
// is surely over.
const eventQuiet = 10 * time.Millisecond

// read waits for the next record.
func (r *eventReader) read() (ringbuf.Record, error) {
	for {
		r.reader.SetDeadline(r.until)
		record, err := r.reader.Read()
		switch {
		case err == nil:
			r.until = time.Now().Add(2 * eventQuiet)
			return record, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			// The library tells of a deadline after the records it found then, when
			// there is a later one.
			if !time.Now().Before(r.until) {
				r.until = time.Time{}
			}
		default:
			return record, err
		}
	}
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

// ReadEvent waits for the next event, which may be some milliseconds old where
// many come. One goroutine at a time may call it. After Close it returns an error that
// wraps os.ErrClosed.
func (d *Dataplane) ReadEvent() (Event, error) {
	record, err := d.events.read()
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

// SetFlowEvents says whether anybody reads events of flows. While nobody does,
// none is written; a new dataplane writes them. Events about neighbours are
// written always.
func (d *Dataplane) SetFlowEvents(read bool) error {
	return d.control(func(c *bpfControl) { c.Quiet = boolWord(!read) })
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
