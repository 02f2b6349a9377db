package ring

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata")

// member returns number n of a made-up fleet; its id says nothing about it.
func member(n int, weight uint32) Member {
	return Member{
		ID:     uint32(n*7919%16381 + 1),
		Addr:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 22),
		Weight: weight,
	}
}

func fleet(weights ...uint32) []Member {
	var members []Member
	for n, w := range weights {
		members = append(members, member(n, w))
	}
	return members
}

func randomMembers(rng *rand.Rand, n int) []Member {
	var members []Member
	for i := range n {
		members = append(members, member(i, uint32(rng.IntN(6))))
	}
	return members
}

func shares(entries []uint32) map[uint32]int {
	held := map[uint32]int{}
	for _, id := range entries {
		held[id]++
	}
	return held
}

// The vectors pin the layout itself: a gateway with another one would steer
// the flows of its peer elsewhere.
func TestGolden(t *testing.T) {
	key := Key{0x5e, 0x1e, 0xc7, 15: 0x42}
	v6 := Member{ID: 9, Addr: netip.MustParseAddrPort("[2001:db8::9]:2222"), Weight: 3}
	var got strings.Builder
	for _, tt := range []struct {
		name    string
		members []Member
	}{
		{"nobody", nil},
		{"one", fleet(1)},
		{"three equal", fleet(1, 1, 1)},
		{"1:2:5", fleet(1, 2, 5)},
		{"1:2:5 and IPv6", append(fleet(1, 2, 5), v6)},
		{"hundred", fleet(slices.Repeat([]uint32{1, 10, 1000, 0}, 25)...)},
	} {
		entries := Build(key, tt.members)
		var raw []byte
		for _, id := range entries {
			raw = binary.LittleEndian.AppendUint32(raw, id)
		}
		sum := sha256.Sum256(raw)
		fmt.Fprintf(&got, "%s: %v … %s\n", tt.name, entries[:8], hex.EncodeToString(sum[:8]))
	}
	const file = "testdata/golden.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("rings differ from %s (-want +got):\n%s", file, diff)
	}
}

func TestShares(t *testing.T) {
	for _, weights := range [][]uint32{{1, 2, 5}, {1, 1}, {1, 1000}, slices.Repeat([]uint32{3}, 20)} {
		var total float64
		for _, w := range weights {
			total += float64(w)
		}
		members := fleet(weights...)
		for k := range byte(16) {
			held := shares(Build(Key{k, 0xaa}, members))
			for _, m := range members {
				p := float64(m.Weight) / total
				if off := math.Abs(float64(held[m.ID])/Entries - p); off > Bound(p) {
					t.Errorf("key %d, weight %d of %v holds %d entries: off by %.4f, bound %.4f",
						k, m.Weight, total, held[m.ID], off, Bound(p))
				}
			}
		}
	}
}

func TestBoundOfTheDocComment(t *testing.T) {
	for weight, want := range map[float64]string{1: "0.52", 2: "0.68", 5: "0.76"} {
		if got := fmt.Sprintf("%.2f", 100*Bound(weight/8)); got != want {
			t.Errorf("bound of weight %v of 8 is %s %%, want %s", weight, got, want)
		}
	}
}

func TestOrderAndIDsDoNotMatter(t *testing.T) {
	members := fleet(1, 2, 5, 1, 7)
	entries := Build(Key{1}, members)
	turned := slices.Clone(members)
	slices.Reverse(turned)
	if !slices.Equal(entries, Build(Key{1}, turned)) {
		t.Error("another order of the members gives another ring")
	}
	for i := range turned {
		turned[i].ID += 100_000
	}
	for i, id := range Build(Key{1}, turned) {
		if id != entries[i]+100_000 {
			t.Fatalf("entry %d: other ids give another ring", i)
		}
	}
	if slices.Equal(entries, Build(Key{2}, members)) {
		t.Error("another key gives the same ring")
	}
}

func TestWeightZeroGetsNothing(t *testing.T) {
	if held := shares(Build(Key{1}, fleet(1, 0, 2))); held[member(1, 0).ID] != 0 || held[0] != 0 {
		t.Errorf("shares are %v", held)
	}
	if held := shares(Build(Key{1}, fleet(0, 0))); held[0] != Entries {
		t.Errorf("ring without weight has shares %v", held)
	}
}

// A change moves what it must and nothing else: who is removed or lightened
// loses entries to others, who is added or made heavier wins some, and no
// entry moves between two that did not change.
func TestOnlyTheChangedMove(t *testing.T) {
	base := fleet(slices.Repeat([]uint32{2}, 100)...)
	for _, tt := range []struct {
		name   string
		weight uint32
		gains  bool
	}{{"removed", 0, false}, {"lighter", 1, false}, {"heavier", 3, true}} {
		t.Run(tt.name, func(t *testing.T) {
			changed := slices.Clone(base)
			changed[40].Weight = tt.weight
			id := base[40].ID
			before, after := Build(Key{7}, base), Build(Key{7}, changed)
			moved := 0
			for i := range before {
				if before[i] == after[i] {
					continue
				}
				moved++
				if tt.gains && after[i] != id || !tt.gains && before[i] != id {
					t.Fatalf("entry %d moved from %d to %d, neither gained nor lost by %d", i, before[i], after[i], id)
				}
			}
			if must := shares(before)[id] - shares(after)[id]; moved != max(must, -must) {
				t.Errorf("%d entries moved, %d must", moved, must)
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{3, 100, 4096} {
		members := fleet(slices.Repeat([]uint32{1}, n)...)
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			for b.Loop() {
				Build(Key{1}, members)
			}
		})
	}
}
