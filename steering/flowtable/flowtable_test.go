package flowtable

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/loader"
	"sluice/steering/flowsync"
	"sluice/steering/flowsync/wire"
)

// fake is a dataplane of maps.
type fake struct {
	changes  uint64
	services map[loader.ServiceID]loader.Service
	members  map[loader.MemberID]loader.Member
	flows    []loader.FlowRecord
	imported []loader.FlowRecord
	asked    []loader.FlowKey
	reads    int
}

func (f *fake) Changes() uint64 { return f.changes }

func (f *fake) Services() (map[loader.ServiceID]loader.Service, error) {
	f.reads++
	return maps.Clone(f.services), nil
}

func (f *fake) Members() (map[loader.MemberID]loader.Member, error) {
	return maps.Clone(f.members), nil
}

func (f *fake) EachFlow(_ context.Context, do func([]loader.FlowRecord) error) error {
	return do(f.flows)
}

func (f *fake) Records(keys []loader.FlowKey) (list []loader.FlowRecord, err error) {
	f.asked = keys
	for _, r := range f.flows {
		if slices.Contains(keys, r.FlowKey) {
			list = append(list, r)
		}
	}
	return list, nil
}

func (f *fake) ImportFlows(records []loader.FlowRecord) (loader.Imported, error) {
	f.imported = append(f.imported, records...)
	return loader.Imported{Made: len(records)}, nil
}

func (f *fake) RemoveFlows(keys []loader.FlowKey) (int, error) {
	f.asked = keys
	return len(keys), nil
}

var (
	port   = netip.MustParseAddrPort
	client = port("203.0.113.7:40000")
	pool   = netip.MustParseAddr("10.0.2.3")
)

// node is a dataplane with a service of each kind, ids beginning at first.
func node(first uint32) *fake {
	f := &fake{services: map[loader.ServiceID]loader.Service{}, members: map[loader.MemberID]loader.Member{}}
	add := func(n uint32, s loader.Service, backend string) {
		id := loader.ServiceID(first + n)
		f.services[id] = s
		f.members[loader.MemberID(first+n)] = loader.Member{Service: id, Addr: port(backend)}
	}
	add(0, loader.Service{Listen: port("192.0.2.3:22"), Mode: loader.ModeNAT, Pool: []netip.Addr{pool}}, "10.0.2.11:22")
	add(1, loader.Service{Listen: port("192.0.2.3:2022"), Mode: loader.ModeDSR}, "10.0.2.11:2022")
	add(2, loader.Service{Listen: port("192.0.2.3:2023"), Mode: loader.ModeIPIP}, "10.0.2.12:2023")
	add(3, loader.Service{Listen: port("192.0.2.3:2024"), Mode: loader.ModeSSHD}, "10.0.2.12:22")
	return f
}

func record(id uint32) loader.FlowRecord {
	r := loader.FlowRecord{
		FlowKey: loader.FlowKey{Service: loader.ServiceID(id), Client: client}, Member: loader.MemberID(id),
		State: loader.FlowEstablished, Age: time.Hour, Idle: time.Minute,
	}
	return r
}

var addrs = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})

// TestAnotherNode: what one node tells, another one has under its own ids.
func TestAnotherNode(t *testing.T) {
	nat := record(1)
	nat.Source, nat.Flags, nat.ISN, nat.Sequence, nat.BackSequence = port("10.0.2.3:1024"), loader.FlowHeader|loader.FlowClientFIN|loader.FlowClientDoubt, 7, 8, 9
	nat.State = loader.FlowHalfClosed
	young := record(2)
	young.State, young.Flags = loader.FlowYoung, loader.FlowAdvanced
	here := node(1)
	here.flows = []loader.FlowRecord{nat, young, record(3), record(4)} // the last is no flow of ours to tell
	there := node(101)
	a, b := New(here), New(there)
	var told []flowsync.Flow
	if err := a.Each(t.Context(), func(list []flowsync.Flow) error { told = append(told, list...); return nil }); err != nil {
		t.Fatal(err)
	}
	result, err := b.Import(told)
	if err != nil || result.Imported != 3 || len(result.Skipped) != 0 {
		t.Fatalf("import: %+v, %v", result, err)
	}
	want := slices.Clone(here.flows[:3])
	for i := range want {
		want[i].Service += 100
		want[i].Member += 100
	}
	if diff := cmp.Diff(want, there.imported, addrs); diff != "" {
		t.Errorf("imported (-want +got):\n%s", diff)
	}
	found, err := a.Lookup([]flowsync.Key{{Service: port("192.0.2.3:22"), Client: client}, {Service: port("192.0.2.9:22"), Client: client}})
	if err != nil || len(found) != 1 || len(here.asked) != 1 {
		t.Errorf("found %+v, asked for %v, %v", found, here.asked, err)
	}
	if err := b.Remove([]flowsync.Key{{Service: port("192.0.2.3:2022"), Client: client}}); err != nil || !slices.Equal(there.asked, []loader.FlowKey{{Service: 102, Client: client}}) {
		t.Errorf("removed %v, %v", there.asked, err)
	}
}

// TestSkipped: what cannot be here says why.
func TestSkipped(t *testing.T) {
	good := flowsync.Flow{
		Key: flowsync.Key{Service: port("192.0.2.3:22"), Client: client}, Backend: port("10.0.2.11:22"), Source: port("10.0.2.3:1024"),
		Mode: wire.ModeNAT, State: wire.StateEstablished,
	}
	for name, test := range map[string]struct {
		change func(*flowsync.Flow)
		want   flowsync.Skip
	}{
		"service":           {func(f *flowsync.Flow) { f.Service = port("192.0.2.9:22") }, flowsync.SkipService},
		"backend":           {func(f *flowsync.Flow) { f.Backend = port("10.0.2.99:22") }, flowsync.SkipBackend},
		"another service's": {func(f *flowsync.Flow) { f.Backend = port("10.0.2.12:2023") }, flowsync.SkipBackend},
		"mode":              {func(f *flowsync.Flow) { f.Mode = wire.ModeDSR }, flowsync.SkipMode},
		"source":            {func(f *flowsync.Flow) { f.Source = port("10.0.2.4:1024") }, flowsync.SkipSource},
		"killed":            {func(f *flowsync.Flow) { f.State = wire.StateKilled }, flowsync.SkipOther},
		"good":              {func(*flowsync.Flow) {}, ""},
	} {
		there := node(1)
		f := good
		test.change(&f)
		result, err := New(there).Import([]flowsync.Flow{f})
		if err != nil || test.want != "" && (result.Skipped[test.want] != 1 || len(there.imported) != 0) || test.want == "" && result.Imported != 1 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

// TestChanges: names are read again when services or members changed, and only then.
func TestChanges(t *testing.T) {
	here := node(1)
	table := New(here)
	key := []flowsync.Key{{Service: port("192.0.2.3:2025"), Client: client}}
	lookup := func() int {
		t.Helper()
		if _, err := table.Lookup(key); err != nil {
			t.Fatal(err)
		}
		return len(here.asked)
	}
	if lookup()+lookup() != 0 || here.reads != 1 {
		t.Errorf("read %d times, asked for %v", here.reads, here.asked)
	}
	here.services[9] = loader.Service{Listen: port("192.0.2.3:2025"), Mode: loader.ModeDSR}
	here.changes++
	if lookup() != 1 || here.reads != 2 {
		t.Errorf("read %d times, asked for %v", here.reads, here.asked)
	}
	// One that left the settings while flows live does not hide its successor.
	here.services[10] = loader.Service{Listen: port("192.0.2.3:2025"), Mode: loader.ModeNAT, Removed: true}
	here.changes++
	if lookup() != 1 || here.asked[0].Service != 9 {
		t.Errorf("asked for %v", here.asked)
	}
	failing := errors.New("enough")
	if err := table.Each(t.Context(), func([]flowsync.Flow) error { return failing }); !errors.Is(err, failing) {
		t.Errorf("each: %v", err)
	}
}
