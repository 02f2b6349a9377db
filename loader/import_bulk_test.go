package loader

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"
)

// bulk is how many flows of a mode another gateway tells of at once.
func bulk(nat bool) int {
	switch {
	case os.Getenv("SLUICE_TEST_FULL") == "":
		return 60_000
	case nat: // two backends and three addresses have no more ports
		return 6 * 65535
	default:
		return 1_000_000
	}
}

// bulkRecords are flows of clients far apart, with all their ports taken.
func (s stand) bulkRecords(n int) []FlowRecord {
	list := make([]FlowRecord, n)
	for i := range list {
		b := s.client.As16()
		binary.BigEndian.PutUint32(b[12:], 0x0b000000+uint32(i)*7)
		r := FlowRecord{
			FlowKey: FlowKey{Service: s.id, Client: withPort(netip.AddrFrom16(b).Unmap(), 1024+uint16(i%60000))},
			Member:  membersOf(s.id)[i%2], State: FlowEstablished,
			Idle: time.Duration(i%1000) * 2 << tickShift, Age: time.Duration(i%1000+i%77) * 2 << tickShift, Sequence: uint32(i),
		}
		if s.svc.Mode == ModeNAT {
			r.Source = withPort(s.svc.Pool[i/2%len(s.svc.Pool)], uint16(i/6%65535+1))
		}
		list[i] = r
	}
	return list
}

// TestImportBulk: what one gateway has another gets as a whole, with the flows
// that find their lines taken; the same again changes nothing; and it goes away
// as a whole.
func TestImportBulk(t *testing.T) {
	for _, k := range []kind{dsr, pooled} {
		t.Run(k.String(), func(t *testing.T) {
			f := families[0]
			s := stand{family: f, kind: k, id: k.id(f), svc: k.service(f)}
			n := bulk(s.svc.Mode == ModeNAT)
			// Half of all lines are taken, so that some flows overflow.
			s.rig = newRig(t, func(o *Options) { o.MaxFlows = n * map[kind]int{dsr: 1, pooled: 2}[k] / 2 })
			s.elect(t, s.vip)
			records := s.bulkRecords(n)
			took := func(what string, want Imported) {
				t.Helper()
				start := time.Now()
				got, err := s.d.ImportFlows(records)
				if t.Logf("%s %d flows: %s, %.0f a second", what, n, time.Since(start), float64(n)/time.Since(start).Seconds()); err != nil || got != want {
					t.Fatalf("%s: %+v (%v), want %+v", what, got, err, want)
				}
			}
			took("import", Imported{Made: n})
			took("import again", Imported{Known: n})
			s.wantAll(t, records)
			start := time.Now()
			keys := make([]FlowKey, n)
			for i := range records {
				keys[i] = records[i].FlowKey
			}
			gone, err := s.d.RemoveFlows(keys)
			t.Logf("remove: %s", time.Since(start))
			if left, err2 := s.d.Entries(t.Context()); gone != n || left != 0 || err != nil || err2 != nil {
				t.Errorf("%d flows were removed and %d entries are left (%v, %v)", gone, left, err, err2)
			}
			for m, c := range s.tally(t).Members {
				if c.FlowsOpened != c.FlowsClosed {
					t.Errorf("member %d: counters %+v say that flows live", m, c)
				}
			}
		})
	}
}

// wantAll reads all records and compares them with those that were imported.
func (s stand) wantAll(t *testing.T, records []FlowRecord) {
	t.Helper()
	want := make(map[FlowKey]FlowRecord, len(records))
	for _, r := range records {
		want[r.FlowKey] = r
	}
	start := time.Now()
	err := s.d.EachFlow(t.Context(), func(list []FlowRecord) error {
		for _, r := range list {
			w := want[r.FlowKey]
			const slack = 10 * time.Minute // far more than the test takes
			if r.Idle < w.Idle || r.Idle > w.Idle+slack || r.Age < w.Age || r.Age > w.Age+slack {
				t.Fatalf("idle %s, age %s; want %s, %s", r.Idle, r.Age, w.Idle, w.Age)
			}
			if r.Idle, r.Age = w.Idle, w.Age; r != w {
				t.Fatalf("record %+v, want %+v", r, w)
			}
			delete(want, r.FlowKey)
		}
		return nil
	})
	t.Logf("read: %s", time.Since(start))
	if err != nil || len(want) > 0 {
		t.Errorf("%d of %d records are missing (%v)", len(want), len(records), err)
	}
}
