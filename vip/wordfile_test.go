package vip

import (
	"bytes"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/vip/election"
)

var someWords = map[netip.Addr]time.Duration{
	netip.MustParseAddr("192.0.2.3"): 5 * time.Second, netip.MustParseAddr("2001:db8::3"): 0,
}

func TestParseWords(t *testing.T) {
	boot := bootID{1, 2, 3}
	whole := appendWords(nil, someWords, boot)
	for name, c := range map[string]struct {
		edit func(b []byte) []byte
		boot bootID
		want map[netip.Addr]time.Duration // nil for an error
	}{
		"whole":          {func(b []byte) []byte { return b }, boot, someWords},
		"none open":      {func([]byte) []byte { return appendWords(nil, nil, boot) }, boot, map[netip.Addr]time.Duration{}},
		"another boot":   {func(b []byte) []byte { return b }, bootID{9}, map[netip.Addr]time.Duration{}},
		"empty":          {func([]byte) []byte { return nil }, boot, nil},
		"short":          {func(b []byte) []byte { return b[:len(b)-1] }, boot, nil},
		"long":           {func(b []byte) []byte { return append(b, 0) }, boot, nil},
		"other magic":    {func(b []byte) []byte { b[0]++; return b }, boot, nil},
		"other deadline": {func(b []byte) []byte { b[wordHead+16]++; return b }, boot, nil},
		"written by half": {func(b []byte) []byte {
			later := maps.Clone(someWords)
			later[netip.MustParseAddr("192.0.2.3")] = 6 * time.Second
			return append(appendWords(nil, later, boot)[:wordHead+20], b[wordHead+20:]...)
		}, boot, nil},
		"deadline below 0": {func([]byte) []byte {
			return appendWords(nil, map[netip.Addr]time.Duration{netip.MustParseAddr("192.0.2.3"): -1}, boot)
		}, boot, nil},
	} {
		got, err := parseWords(c.edit(bytes.Clone(whole)), c.boot)
		if !maps.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func FuzzParseWords(f *testing.F) {
	boot := bootID{1}
	f.Add(appendWords(nil, someWords, boot))
	f.Add([]byte(wordMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if open, err := parseWords(b, boot); err == nil && len(open) > 0 && !bytes.Equal(appendWords(nil, open, boot)[:wordHead], b[:wordHead]) {
			t.Errorf("%x was read as %v", b, open)
		}
	})
}

// What one process held the next finds, for as long as it said, and no longer.
func TestWordFile(t *testing.T) {
	dir, now := t.TempDir(), time.Minute
	var said bytes.Buffer
	begin := func() *wordFile {
		w := openWordFile(dir, func() time.Duration { return now }, slog.New(slog.NewTextHandler(&said, nil)))
		t.Cleanup(func() { _ = w.close() })
		return w
	}
	a, b := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3")
	both := []netip.Addr{a, b}
	want := func(what string, w *wordFile, vips []netip.Addr, until time.Duration, open bool) {
		t.Helper()
		gotUntil, gotOpen, err := w.Open(vips)
		if err != nil || gotOpen != open || open && gotUntil != until {
			t.Errorf("%s: until %v, open %v, %v", what, gotUntil, gotOpen, err)
		}
	}
	set := func(w *wordFile, vips []netip.Addr, active bool, until time.Duration) {
		t.Helper()
		must(t, w.Set(vips, active, until))
	}
	first := begin()
	want("at first", first, both, 0, false)
	set(first, both, true, now+3*time.Second)
	set(first, both[1:], true, now+2*time.Second)
	want("own", first, both, now+2*time.Second, true)
	want("left", begin(), both, now+2*time.Second, true)
	now += 2 * time.Second
	want("when the deadline is there", begin(), both, 0, false)
	want("one that ends later", begin(), both[:1], now+time.Second, true)
	set(first, both[:1], false, 0)
	want("closed", begin(), both[:1], 0, false)
	set(first, both, true, 0)
	want("without end", begin(), both, 0, true)
	want("no VIPs", begin(), nil, 0, false)
	must(t, os.WriteFile(filepath.Join(dir, wordFileName), []byte("x"), 0o600))
	want("damaged", begin(), both, 0, false)
	if !strings.Contains(said.String(), "no such file") {
		t.Errorf("said %q", &said)
	}

	// Who cannot keep them has them all the same, and says once that nobody follows.
	said.Reset()
	must(t, first.close())
	for range 2 {
		set(first, both, true, now+time.Second)
	}
	want("not kept", first, both, now+time.Second, true)
	if n := strings.Count(said.String(), "is not kept for the next process"); n != 1 {
		t.Errorf("said %q", &said)
	}
}

// Without a dataplane, too, a successor goes on where its predecessor was killed, and
// one that comes too late does not.
func TestRestartAdoptsWithoutDataplane(t *testing.T) {
	d := newDuo(t)
	interval := time.Second
	for i, p := range d.each {
		plan := d.plan(i, interval)
		plan.Steers = false
		p.start()
		p.apply(plan)
		p.untilState([]string{"active", "backup"}[i])
	}
	a, b := d.each[0], d.each[1]
	a.until("in touch", func(s ClusterStatus) bool { return s.Peers[0].Alive && s.Peers[0].HearsUs })
	was := a.status()
	if !was.VIPs[0].Owner {
		t.Errorf("the active one is no owner: %+v", was.VIPs)
	}
	successor := a.spawn()
	lost := watchLoss(t, a, d.vips())
	a.kill()
	a.begin(successor)
	if s := a.untilState("active"); s.Term != was.Term || s.Cause != string(election.CauseAdopted) {
		t.Errorf("term %d, cause %q; before %d", s.Term, s.Cause, was.Term)
	}
	if gone := lost(); len(gone) > 0 {
		t.Errorf("addresses went away: %v", gone)
	}
	if s := b.status(); s.State != "backup" || s.Term != was.Term {
		t.Errorf("the other one: %+v", s)
	}
	if n := len(a.writes()); n != 0 {
		t.Errorf("%d writes to words of a dataplane that is not there", n)
	}

	// Somebody else is active by now, and the VIPs, whose leases do not end here, are no
	// proof.
	a.kill()
	list, err := a.gw.Netlink().AddrList(nil, 0)
	must(t, err)
	kept := 0
	for _, one := range list {
		if at, _ := netip.AddrFromSlice(one.IP); slices.Contains(d.vips(), at.Unmap()) {
			kept++
			l, err := a.gw.Netlink().LinkByIndex(one.LinkIndex)
			must(t, err)
			must(t, a.gw.Netlink().AddrReplace(l, &netlink.Addr{IPNet: one.IPNet, Flags: unix.IFA_F_NOPREFIXROUTE}))
		}
	}
	b.untilState("active")
	if kept != 2 || !a.has(d.VIP.V4) || !a.has(d.InsideVIP.V4) {
		t.Fatal("the VIPs do not lie there any more: nothing is proved")
	}
	a.start()
	if s := a.untilState("backup"); s.Cause == string(election.CauseAdopted) || s.Changes[string(election.CauseAdopted)] != 0 {
		t.Errorf("it went on: %+v", s)
	}
	d.holds(b, a)
}
