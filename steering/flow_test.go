package steering

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/loader"
)

// crowd is a rig with a few flows of different ages.
func crowd(t *testing.T) (*rig, []netip.AddrPort) {
	r := newRig(t)
	r.apply(serving("b1"), at(serving("b2"), "two", "192.0.2.4:22"))
	r.allUp()
	var clients []netip.AddrPort
	for i := range 6 {
		listen := vip
		if i%2 == 1 {
			listen = addrPort("192.0.2.4:22")
		}
		client, _ := r.flow(listen)
		clients = append(clients, client)
		r.clock.advance(time.Minute)
	}
	r.dp.data(clients[0], vip)
	r.dp.fin(clients[5], addrPort("192.0.2.4:22"))
	return r, clients
}

func TestFlowsFilterAndSort(t *testing.T) {
	r, c := crowd(t)
	for _, tt := range []struct {
		name string
		q    Query
		want []netip.AddrPort
	}{
		{"all", Query{}, c},
		{"service", Query{Service: "two"}, []netip.AddrPort{c[1], c[3], c[5]}},
		{"unknown service", Query{Service: "none"}, nil},
		{"backend by name", Query{Backend: "b1"}, []netip.AddrPort{c[0], c[2], c[4]}},
		{"backend by address", Query{Backend: "10.0.0.2:22"}, []netip.AddrPort{c[1], c[3], c[5]}},
		{"unknown backend", Query{Backend: "b9"}, nil},
		{"one client", Query{Client: netip.PrefixFrom(c[2].Addr(), 32)}, []netip.AddrPort{c[2]}},
		{"network", Query{Client: netip.MustParsePrefix("198.51.0.2/31")}, []netip.AddrPort{c[1], c[2]}},
		{"state", Query{State: loader.FlowClosed}, []netip.AddrPort{c[5]}},
		{"idle", Query{MinIdle: 4 * time.Minute}, []netip.AddrPort{c[1], c[2]}},
		{"youngest first", Query{Sort: SortAge}, []netip.AddrPort{c[5], c[4], c[3], c[2], c[1], c[0]}},
		{"oldest first", Query{Sort: SortAge, Descending: true}, c},
		{"longest silent first", Query{Sort: SortIdle, Descending: true, Backend: "b1"}, []netip.AddrPort{c[2], c[4], c[0]}},
		{"by backend", Query{Sort: SortBackend}, []netip.AddrPort{c[0], c[2], c[4], c[1], c[3], c[5]}},
		{"clients backwards", Query{Descending: true, Service: "ssh"}, []netip.AddrPort{c[4], c[2], c[0]}},
	} {
		tt.q.Limit = 100
		page, err := r.table.Flows(context.Background(), tt.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []netip.AddrPort
		for _, f := range page.Flows {
			got = append(got, f.Client)
		}
		if diff := cmp.Diff(fmt.Sprint(tt.want), fmt.Sprint(got)); diff != "" || page.Total != len(tt.want) {
			t.Errorf("%s: total %d, clients (-want +got):\n%s", tt.name, page.Total, diff)
		}
	}
}

func TestFlowsInPages(t *testing.T) {
	r, c := crowd(t)
	for _, tt := range []struct{ offset, limit, want int }{
		{0, 2, 2}, {2, 3, 3}, {4, 10, 2}, {6, 1, 0}, {100, 1, 0}, {-5, 1, 1}, {0, 0, 0}, {0, -1, 0},
	} {
		page, err := r.table.Flows(context.Background(), Query{Offset: tt.offset, Limit: tt.limit})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Flows) != tt.want || page.Total != len(c) {
			t.Errorf("offset %d limit %d: %d of %d flows", tt.offset, tt.limit, len(page.Flows), page.Total)
		}
		if tt.want > 0 && page.Flows[0].Client != c[max(0, tt.offset)] {
			t.Errorf("offset %d begins with %v", tt.offset, page.Flows[0].Client)
		}
	}
}

func TestFlowShowsEverything(t *testing.T) {
	r, c := crowd(t)
	page, err := r.table.Flows(context.Background(), Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := Flow{
		Client: c[0], Listen: vip, Service: "ssh", Backend: "b1", BackendAddr: backendAddr("b1"),
		Source: c[0], State: loader.FlowEstablished, Age: 6 * time.Minute,
	}
	if page.Flows[0] != want {
		t.Errorf("flow is %+v, want %+v", page.Flows[0], want)
	}
	if !page.At.Equal(r.clock.now()) {
		t.Errorf("swept at %v, it is %v", page.At, r.clock.now())
	}
}

func TestFlowsUseAnIndexOfTheLastSecond(t *testing.T) {
	r, _ := crowd(t)
	ask := func() {
		t.Helper()
		if _, err := r.table.Flows(context.Background(), Query{}); err != nil {
			t.Fatal(err)
		}
	}
	before := r.dp.scans
	ask()
	ask()
	r.clock.advance(time.Second)
	ask()
	if got := r.dp.scans - before; got != 1 {
		t.Errorf("%d sweeps within a second, want 1", got)
	}
	r.clock.advance(time.Millisecond)
	ask()
	if got := r.dp.scans - before; got != 2 {
		t.Errorf("%d sweeps after more than a second, want 2", got)
	}
}

func TestManyAskersShareOneSweep(t *testing.T) {
	r, _ := crowd(t)
	r.clock.advance(time.Minute)
	before := r.dp.scans
	var asked, done sync.WaitGroup
	asked.Add(20)
	// The sweep goes on only once all have asked.
	r.dp.fault = func(call string) error {
		if call == "Scan " {
			asked.Wait()
		}
		return nil
	}
	for range 20 {
		done.Go(func() {
			asked.Done()
			if _, err := r.table.Flows(context.Background(), Query{}); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if got := r.dp.scans - before; got != 1 {
		t.Errorf("%d sweeps for 20 questions", got)
	}
}

func TestFlowsErrors(t *testing.T) {
	r, _ := crowd(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.clock.advance(time.Minute)
	if _, err := r.table.Flows(ctx, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a question that was taken back is %v", err)
	}
	for _, call := range []string{"Scan ", "MemberCounters ", "ServiceCounters "} {
		r.dp.fault = func(c string) error {
			if c == call {
				return errInjected
			}
			return nil
		}
		if _, err := r.table.Flows(context.Background(), Query{}); !errors.Is(err, errInjected) {
			t.Errorf("%s failed, error is %v", call, err)
		}
	}
	r.dp.fault = nil
	if _, err := r.table.Flows(context.Background(), Query{}); err != nil {
		t.Errorf("after the fault: %v", err)
	}
}

func TestPackIsReversible(t *testing.T) {
	for _, f := range []loader.Flow{
		{Client: addrPort("198.51.100.7:50000"), Service: 3, Member: 9, State: loader.FlowYoung, Opened: time.Hour, Seen: 2 * time.Hour},
		{Client: addrPort("[2001:db8::7]:1"), Source: addrPort("[2001:db8::1]:40000"), Line: 7, Word: 1 << 31, State: loader.FlowKilled},
		{Client: addrPort("198.51.100.7:50000"), Source: addrPort("192.0.2.3:2"), Member: loader.MaxMembers - 1},
	} {
		e := pack(f)
		if got := e.flow(); got != f {
			t.Errorf("%+v became %+v", f, got)
		}
	}
}

// million is an index like that of a busy gateway.
func million(n int) *index {
	x := newIndex(time.Hour, clockStart)
	for i := range n {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(i*7919))
		x.add(loader.Flow{
			Client: client, Service: 1, Member: loader.MemberID(i%100 + 1), State: loader.FlowEstablished,
			Opened: time.Duration(i*7) * time.Microsecond, Seen: time.Duration(i*13%n) * time.Microsecond,
		})
	}
	return x
}

func TestIndexCounts(t *testing.T) {
	x := million(3*chunkLen + 5)
	if x.len() != 3*chunkLen+5 || len(x.chunks) != 4 {
		t.Errorf("%d flows in %d chunks", x.len(), len(x.chunks))
	}
	sum := 0
	for id := range x.members {
		sum += x.of(id).living()
	}
	if sum != x.len() || x.services[1] != x.len() {
		t.Errorf("members have %d, the service %d of %d flows", sum, x.services[1], x.len())
	}
	if empty := newIndex(0, clockStart); empty.len() != 0 || empty.of(1).all() != 0 {
		t.Error("an empty index holds something")
	}
	last := x.entryAt(uint32(x.len() - 1))
	if c := last.clientAddr(); c.Addr() != netip.AddrFrom4([4]byte{100, 0, byte((3*chunkLen + 4) >> 8), 4}) {
		t.Errorf("the last flow is of %v", c)
	}
}

func BenchmarkMillionFlows(b *testing.B) {
	x := million(1_000_000)
	m := newModel()
	for _, sort := range []FlowSort{SortClient, SortIdle} {
		b.Run(string(sort), func(b *testing.B) {
			q := Query{Sort: sort, Offset: 500_000, Limit: 100, MinIdle: time.Millisecond}
			for b.Loop() {
				list, err := x.match(context.Background(), newFilter(m, q))
				if err == nil {
					err = window(context.Background(), list, q.Offset, q.Offset+q.Limit, x.order(m, q))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			million(1_000_000)
		}
	})
}
