package steering

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/loader"
)

type testBook = book[loader.MemberID, memberKey, Counters]

func key(n int) memberKey {
	return memberKey{Service: vip, Backend: backendAddr(fmt.Sprintf("b%d", n))}
}

func always(loader.MemberID) bool { return true }

func packets(n uint64) Counters { return Counters{PacketsIn: n, FlowsOpened: n / 2} }

func mustTake(t *testing.T, b *testBook, n int, last loader.MemberID) loader.MemberID {
	t.Helper()
	id, err := b.take(key(n), last, always)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIDsAreTakenInOrder(t *testing.T) {
	b := newBook[loader.MemberID, memberKey, Counters]()
	for n := 1; n <= 3; n++ {
		if id := mustTake(t, &b, n, 5); id != loader.MemberID(n) {
			t.Errorf("number %d got id %d", n, id)
		}
	}
	b.release(2, Counters{})
	b.release(1, Counters{})
	for _, step := range []struct {
		key  int
		want loader.MemberID
		why  string
	}{
		{1, 1, "its own from before"},
		{4, 4, "one that nobody had, while there is one"},
		{5, 5, "the last that nobody had"},
		{6, 2, "the longest removed"},
	} {
		if id := mustTake(t, &b, step.key, 5); id != step.want {
			t.Errorf("key %d got id %d, want %d: %s", step.key, id, step.want, step.why)
		}
	}
	if id, err := b.take(key(7), 5, always); err == nil {
		t.Errorf("a full book gave id %d", id)
	}
}

func TestIDsInUseByFlowsAreNotTaken(t *testing.T) {
	b := newBook[loader.MemberID, memberKey, Counters]()
	clean := func(id loader.MemberID) bool { return id != 1 && id != 3 }
	for n, want := range []loader.MemberID{2, 4} {
		if id, err := b.take(key(n+1), 4, clean); err != nil || id != want {
			t.Errorf("got id %d (%v), want %d", id, err, want)
		}
	}
	if id, err := b.take(key(9), 4, clean); err == nil {
		t.Errorf("got id %d, which flows name", id)
	}
	if id := mustTake(t, &b, 9, 4); id != 1 {
		t.Errorf("got id %d after the flows ended, want 1", id)
	}
}

func TestRecycledIDStartsAtZeroForItsNewOwner(t *testing.T) {
	b := newBook[loader.MemberID, memberKey, Counters]()
	mustTake(t, &b, 1, 1)
	b.open(1, Counters{})
	b.release(1, packets(100))
	mustTake(t, &b, 2, 1)
	b.open(1, packets(100))
	got := b.shown(map[loader.MemberID]Counters{1: packets(130)})
	want := map[memberKey]Counters{key(1): packets(100), key(2): packets(30)}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b memberKey) bool { return a == b })); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	b.release(1, packets(130))
	mustTake(t, &b, 1, 1)
	b.open(1, packets(130))
	if got := b.shown(map[loader.MemberID]Counters{1: packets(134)})[key(1)]; got != packets(104) {
		t.Errorf("the first owner, back again, shows %+v", got)
	}
}

func TestFoldChangesNothingThatIsShown(t *testing.T) {
	b := newBook[loader.MemberID, memberKey, Counters]()
	mustTake(t, &b, 1, 4)
	b.open(1, packets(10))
	now := map[loader.MemberID]Counters{1: packets(50)}
	before := b.shown(now)[key(1)]
	b.fold(1, now[1])
	b.fold(1, now[1])
	if after := b.shown(now)[key(1)]; after != before {
		t.Errorf("%+v became %+v", before, after)
	}
	// Maps made anew count from zero; what was folded is kept.
	b.open(1, Counters{})
	if after := b.shown(map[loader.MemberID]Counters{1: packets(2)})[key(1)]; after != packets(42) {
		t.Errorf("on new maps %+v is shown, want %+v", after, packets(42))
	}
}

func TestClaim(t *testing.T) {
	b := newBook[loader.MemberID, memberKey, Counters]()
	b.claim(3, key(3), packets(7))
	if b.Last != 3 || len(b.Free) != 2 {
		t.Errorf("after id 3 was found, %d is the last and %v are free", b.Last, b.Free)
	}
	b.claim(3, key(3), packets(9))
	if got := b.InUse[3].Base; got != packets(7) {
		t.Errorf("claimed twice, the base is %+v", got)
	}
	b.claim(2, key(2), Counters{})
	if len(b.Free) != 1 || b.Free[0].ID != 1 {
		t.Errorf("%v are free, want 1 alone", b.Free)
	}
	if err := b.check(10); err != nil {
		t.Error(err)
	}
}

// Random lives of a few ids among more owners, against plain sums.
func TestShownIsWhatWasCounted(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		b := newBook[loader.MemberID, memberKey, Counters]()
		kernel := map[loader.MemberID]Counters{}
		owned := map[int]loader.MemberID{}
		sums := map[memberKey]Counters{}
		for range 300 {
			n := rng.IntN(8)
			id, owns := owned[n]
			switch rng.IntN(4) {
			case 0:
				if !owns && len(owned) < 4 {
					owned[n] = mustTake(t, &b, n, 4)
					b.open(owned[n], kernel[owned[n]])
				}
			case 1:
				if owns {
					b.release(id, kernel[id])
					delete(owned, n)
				}
			case 2:
				b = b.clone()
				if owns {
					b.fold(id, kernel[id])
				}
			default:
				if owns {
					c := packets(uint64(rng.IntN(10)))
					kernel[id], sums[key(n)] = kernel[id].plus(c), sums[key(n)].plus(c)
				}
			}
			for k, want := range sums {
				if got := b.shown(kernel)[k]; got != want {
					t.Fatalf("seed %d: %v shows %+v, want %+v", seed, k, got, want)
				}
			}
			if err := b.check(4); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestLedgerSurvivesItsFile(t *testing.T) {
	l := newLedger()
	id, err := l.Members.take(memberKey{Service: vip, Backend: addrPort("[2001:db8::1]:22")}, maxMemberID, always)
	if err != nil {
		t.Fatal(err)
	}
	l.Members.open(id, packets(3))
	l.Members.claim(9, key(9), packets(1))
	l.Members.release(9, packets(4))
	if _, err := l.Services.take(vip, maxServiceID, func(loader.ServiceID) bool { return true }); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	got := newLedger()
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	addrs := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(l, got, addrs, cmp.AllowUnexported(ledger{})); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if err := got.check(); err != nil {
		t.Error(err)
	}
}

func TestLedgerCheckRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"newer":        `{"version": 2}`,
		"twice":        `{"members": {"in_use": {"1": {"key": " "}}, "free": [{"id": 1, "key": " "}], "last": 1}}`,
		"zero":         `{"members": {"free": [{"id": 0, "key": " "}], "last": 1}}`,
		"beyond last":  `{"members": {"free": [{"id": 3, "key": " "}], "last": 2}}`,
		"beyond range": `{"services": {"in_use": {"4000": {"key": "192.0.2.1:22"}}, "last": 4000}}`,
	} {
		var l ledger
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := l.check(); err == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
}

func FuzzMemberKey(f *testing.F) {
	for _, text := range []string{"192.0.2.3:22 10.0.0.1:22", " ", "", "[2001:db8::1]:22 [::1]:1", "a b c", "192.0.2.3:22"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var k, again memberKey
		if k.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalText(written); err != nil || again != k {
			t.Errorf("%q became %+v, %q and %+v (%v)", text, k, written, again, err)
		}
	})
}
