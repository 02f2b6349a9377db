package loader

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"sluice/internal/nettest/frame"
)

// verdict is what the program returns, enum xdp_action.
type verdict uint32

const (
	xdpAborted verdict = iota
	xdpDrop
	xdpPass
	xdpTX
	xdpRedirect
)

func (v verdict) String() string {
	if v > xdpRedirect {
		return fmt.Sprintf("verdict %d", uint32(v))
	}
	return [...]string{"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"}[v]
}

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta                     uint32
	IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// maxFrame is what Program.Run gives back at most.
const maxFrame = 4096

// run hands one frame to the program as if it came in by an interface. Call it
// from inside.
func (r *rig) run(from iface, in []byte) (verdict, []byte, error) {
	o := ebpf.RunOptions{
		Data:    in,
		DataOut: make([]byte, maxFrame),
		Context: xdpContext{DataEnd: uint32(len(in)), IngressIfindex: uint32(from.index)},
	}
	v, err := r.d.objs.Steer.Run(&o)
	return verdict(v), o.DataOut, err
}

func (r *rig) mustRun(t *testing.T, from iface, in []byte) (v verdict, out []byte) {
	t.Helper()
	var err error
	r.inside(func() { v, out, err = r.run(from, in) })
	mustRig(t, err)
	return v, out
}

// tally is every counter there is. Zero ones are left out, so that a difference
// shows what counted.
type tally struct {
	Members  map[MemberID]MemberCounters
	Services map[ServiceID]ServiceCounters
	Drops    map[string]DropCounter
}

func (r *rig) tally(t testing.TB) tally {
	t.Helper()
	out := tally{Members: map[MemberID]MemberCounters{}, Services: map[ServiceID]ServiceCounters{}, Drops: map[string]DropCounter{}}
	firstOf(t, r.d.objs.MemberCounts, maxMember, func(id uint32, cpus []bpfMemberCounters) {
		out.Members[MemberID(id)] = sumMember(cpus)
	})
	firstOf(t, r.d.objs.ServiceCounts, maxService, func(id uint32, cpus []bpfServiceCounters) {
		out.Services[ServiceID(id)] = sumService(cpus)
	})
	drops, err := r.d.Drops()
	mustRig(t, err)
	for _, d := range drops {
		out.Drops[d.Reason] = DropCounter{Packets: d.Packets, Bytes: d.Bytes}
	}
	return out
}

// firstOf reads the first count records of a per-CPU array. Dataplane's own
// calls read whole batches, which is most of the time of a case.
func firstOf[V any](t testing.TB, m *ebpf.Map, count int, visit func(id uint32, cpus []V)) {
	t.Helper()
	var cursor ebpf.MapBatchCursor
	per := ebpf.MustPossibleCPU()
	keys, values := make([]uint32, count), make([]V, count*per)
	n, err := m.BatchLookup(&cursor, keys, values, nil)
	if err != nil && n < count {
		t.Fatal(err)
	}
	for i := range n {
		visit(keys[i], values[i*per:(i+1)*per])
	}
}

// since is what was counted between two tallies.
func (after tally) since(before tally) tally {
	return tally{
		Members:  differences(after.Members, before.Members),
		Services: differences(after.Services, before.Services),
		Drops:    differences(after.Drops, before.Drops),
	}
}

func differences[K comparable, V comparable](after, before map[K]V) map[K]V {
	out := map[K]V{}
	for k, v := range after {
		was, d := before[k], v
		for i := range reflect.TypeFor[V]().NumField() {
			if field := reflect.ValueOf(&d).Elem().Field(i); field.CanUint() {
				field.SetUint(field.Uint() - reflect.ValueOf(was).Field(i).Uint())
			}
		}
		if d != *new(V) {
			out[k] = d
		}
	}
	return out
}

// expected is what the program makes of one frame.
type expected struct {
	verdict verdict
	out     []byte // nil: not looked at
	counts  tally
}

// check runs one frame and compares all that it did with what is expected. It
// returns the frame that came out.
func (r *rig) check(t *testing.T, from iface, in []byte, want expected) []byte {
	t.Helper()
	before := r.tally(t)
	v, out := r.mustRun(t, from, in)
	if v != want.verdict {
		t.Errorf("verdict %s, want %s", v, want.verdict)
	}
	if want.out != nil && !bytes.Equal(out, want.out) {
		t.Errorf("the frame differs (-want +got):\n%s", cmp.Diff(lines(want.out), lines(out)))
	}
	r.checkTally(t, before, want.counts)
	if t.Failed() {
		t.Fatalf("in by %s:\n%s\nout:\n%s", from.name, show(in), show(out))
	}
	return out
}

func (r *rig) checkTally(t *testing.T, before, want tally) {
	t.Helper()
	if diff := cmp.Diff(want, r.tally(t).since(before), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("counters differ (-want +got):\n%s", diff)
	}
}

// dropped is a tally of one dropped packet.
func dropped(reason string, in []byte) tally {
	return tally{Drops: map[string]DropCounter{reason: {Packets: 1, Bytes: uint64(ipLength(in))}}}
}

// ipLength is the IP total length a frame claims, whatever its true length.
func ipLength(b []byte) uint16 {
	at := 12
	for bytes.Equal(b[at:at+2], []byte{0x81, 0}) || bytes.Equal(b[at:at+2], []byte{0x88, 0xa8}) {
		at += 4
	}
	ip := b[at+2:]
	if b[at] == 0x08 {
		return uint16(ip[2])<<8 | uint16(ip[3])
	}
	return uint16(ip[4])<<8 | uint16(ip[5]) + 40
}

// show prints a frame layer by layer and byte by byte.
func show(b []byte) string { return strings.Join(lines(b), "\n") }

func lines(b []byte) []string {
	packet := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	return strings.Split(strings.TrimSpace(packet.String()), "\n")
}

// build is frame.Must for frames of a case.
func build(t testing.TB, f frame.Frame) []byte {
	t.Helper()
	b, err := f.Bytes()
	mustRig(t, err)
	return b
}
