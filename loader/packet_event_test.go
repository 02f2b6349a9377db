package loader

import (
	"errors"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"net/netip"
)

// events takes what the ring buffer holds.
func (r *rig) events(t testing.TB) []Event {
	t.Helper()
	r.d.events.reader.SetDeadline(time.Unix(1, 0))
	var out []Event
	for {
		record, err := r.d.events.reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out
		}
		mustRig(t, err)
		out = append(out, decodeEvent((*bpfEvent)(unsafe.Pointer(&record.RawSample[0]))))
	}
}

// wantEvents compares what came since the last call.
func (r *rig) wantEvents(t testing.TB, want ...Event) {
	t.Helper()
	got := r.events(t)
	opts := cmp.Options{
		cmpopts.IgnoreFields(Event{}, "Time"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.AddrPort{}),
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Fatalf("events differ (-want +got):\n%s", diff)
	}
}
