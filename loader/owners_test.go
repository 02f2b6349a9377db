package loader_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"sluice/loader"
)

var (
	vipA = netip.MustParseAddr("192.0.2.3")
	vipB = netip.MustParseAddr("2001:db8:1::3")
	vipC = netip.MustParseAddr("192.0.2.99")
)

// wantWord checks what a word says to the process of the election.
func wantWord(t *testing.T, o *loader.Owners, vip netip.Addr, active bool, until time.Duration) {
	t.Helper()
	if a, u, err := o.State(vip); err != nil || a != active || active && u != until {
		t.Errorf("the word of %s is %v until %s (%v), want %v until %s", vip, a, u, err, active, until)
	}
}

// TestOwners: the words of an election outlive the process that steers, keep
// their places, and are touched by nobody else.
func TestOwners(t *testing.T) {
	t.Parallel()
	n, o := alone(t)
	if _, err := loader.OpenOwners(o.Dir); !errors.Is(err, loader.ErrDataplaneGone) {
		t.Fatalf("words were opened before there were any: %v", err)
	}
	dp := openIn(t, n, o)
	serveOn(t, dp, n, loader.ModeNAT) // opens the word of vipA
	must(t, dp.SetElected([]netip.Addr{vipA, vipB}))
	words, err := loader.OpenOwners(o.Dir)
	must(t, err)
	defer func() { must(t, words.Close()) }()
	wantWord(t, words, vipA, false, 0)
	wantWord(t, words, vipB, false, 0)
	until := monotonic(t) + time.Hour
	must(t, words.Set([]netip.Addr{vipA, vipB}, true, until))
	wantWord(t, words, vipA, true, until)

	// One without a word keeps the others from nothing.
	err = words.Set([]netip.Addr{vipC, vipB}, true, 0)
	if !errors.Is(err, loader.ErrNoWord) {
		t.Errorf("setting a word that is not there: %v", err)
	}
	wantError(t, err, vipC.String())
	wantWord(t, words, vipB, true, 0)
	if _, _, err := words.State(vipC); !errors.Is(err, loader.ErrNoWord) {
		t.Errorf("reading a word that is not there: %v", err)
	}

	_, before := dp.Indexes()
	must(t, dp.Close())
	wantWord(t, words, vipA, true, until)
	must(t, words.Set([]netip.Addr{vipA}, true, until+1))
	dp = openIn(t, n, o)
	if _, after := dp.Indexes(); after[vipA] != before[vipA] || after[vipB] != before[vipB] {
		t.Errorf("the places of words were %v and are %v", before, after)
	}
	must(t, dp.SetElected([]netip.Addr{vipA, vipB, vipC}))
	must(t, dp.PutService(testService+1, loader.Service{Listen: netip.AddrPortFrom(vipB, 22), Mode: loader.ModeDSR}))
	wantWord(t, words, vipA, true, until+1)
	wantWord(t, words, vipB, true, 0)
	wantWord(t, words, vipC, false, 0)
	must(t, dp.DeleteService(testService+1))
	wantWord(t, words, vipB, true, 0)

	// No longer elected: the node has its word back, as it stands.
	must(t, dp.SetElected([]netip.Addr{vipB}))
	if open, err := dp.Owner(vipA); err != nil || !open {
		t.Errorf("the word of %s is open %v (%v) after the election let go of it", vipA, open, err)
	}
	must(t, dp.SetOwner(vipA, false))
	if err := words.Set([]netip.Addr{vipA}, true, 0); !errors.Is(err, loader.ErrNoWord) {
		t.Errorf("the election wrote a word that is not its own: %v", err)
	}
	must(t, dp.Close())
	testOwnersGone(t, words, o, func() *loader.Dataplane { return openIn(t, n, o) })
}

// testOwnersGone: words of maps that were removed, and made again, are not
// written as if somebody read them.
func testOwnersGone(t *testing.T, words *loader.Owners, o loader.Options, open func() *loader.Dataplane) {
	_, err := loader.Detach(o.Dir)
	must(t, err)
	gone := func(when string) {
		t.Helper()
		if err := words.Set([]netip.Addr{vipB}, true, 0); !errors.Is(err, loader.ErrDataplaneGone) {
			t.Errorf("%s: set: %v", when, err)
		}
		if _, _, err := words.State(vipB); !errors.Is(err, loader.ErrDataplaneGone) {
			t.Errorf("%s: state: %v", when, err)
		}
	}
	gone("removed")
	if err := words.Reopen(); !errors.Is(err, loader.ErrDataplaneGone) {
		t.Errorf("opened what is gone: %v", err)
	}
	dp := open()
	must(t, dp.SetElected([]netip.Addr{vipB}))
	gone("made again")
	must(t, words.Reopen())
	wantWord(t, words, vipB, false, 0)
	must(t, words.Set([]netip.Addr{vipB}, true, 7))
	wantWord(t, words, vipB, true, 7)
}
