package guard

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
	"sluice/loader"
)

// fake is a dataplane that remembers.
type fake struct {
	guard loader.Guard
	rules map[netip.Prefix]loader.Rule
	fail  error
}

func (f *fake) SetGuard(g loader.Guard) error { f.guard = g; return f.fail }

func (f *fake) Ban(p netip.Prefix, until time.Duration) error {
	if f.fail == nil {
		f.rules[p] = loader.Rule{Prefix: p, Until: until, Packets: 7, Bytes: 420}
	}
	return f.fail
}

func (f *fake) Unban(p netip.Prefix) error {
	if f.fail == nil {
		delete(f.rules, p)
	}
	return f.fail
}

func (f *fake) Bans() ([]loader.Rule, error)   { return slices.Collect(maps.Values(f.rules)), f.fail }
func (f *fake) Pressed() (bool, error)         { return false, f.fail }
func (f *fake) Denied() ([]loader.Rule, error) { return nil, f.fail }
func (f *fake) Exempt() ([]loader.Rule, error) { return nil, f.fail }

// stage is a guard whose clocks stand still until they are moved.
type stage struct {
	dp    *fake
	dir   string
	wall  time.Time
	ticks time.Duration
	guard *Guard
}

func newStage(t *testing.T) *stage {
	s := &stage{
		dp: &fake{rules: map[netip.Prefix]loader.Rule{}}, dir: t.TempDir(),
		wall: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), ticks: time.Hour,
	}
	s.open(t)
	return s
}

// open is what a start of the process does.
func (s *stage) open(t *testing.T) {
	t.Helper()
	var err error
	s.guard, err = New(s.dp, Options{
		DataDir: s.dir, Log: slog.New(slog.DiscardHandler),
		now: func() time.Time { return s.wall }, monotonic: func() time.Duration { return s.ticks },
	})
	must(t, err)
}

func (s *stage) pass(d time.Duration) { s.wall, s.ticks = s.wall.Add(d), s.ticks+d }

func (s *stage) ban(t *testing.T, p string, span time.Duration) {
	t.Helper()
	_, err := s.guard.Ban(netip.MustParsePrefix(p), span, "because")
	must(t, err)
}

// want checks the bans in the dataplane, each with its end.
func (s *stage) want(t *testing.T, ends map[string]time.Duration) {
	t.Helper()
	got := map[string]time.Duration{}
	for p, r := range s.dp.rules {
		got[p.String()] = r.Until
	}
	if diff := cmp.Diff(ends, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("bans (-want +got):\n%s", diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBan(t *testing.T) {
	s := newStage(t)
	s.ban(t, "192.0.2.7/32", time.Minute)
	s.ban(t, "2001:db8::/64", 0)
	s.ban(t, "198.51.100.77/24", 2*time.Minute) // bits behind the prefix
	s.want(t, map[string]time.Duration{
		"192.0.2.7/32": time.Hour + time.Minute, "2001:db8::/64": 0, "198.51.100.0/24": time.Hour + 2*time.Minute,
	})
	s.pass(time.Second)
	s.ban(t, "192.0.2.7/32", time.Hour)
	list, err := s.guard.Bans()
	must(t, err)
	if len(list) != 3 || list[0].Prefix.String() != "192.0.2.7/32" || list[0].Reason != "because" || list[0].Packets != 7 ||
		!list[0].Until.Equal(s.wall.Add(time.Hour)) || !list[1].Since.Before(list[0].Since) {
		t.Errorf("bans are %+v", list)
	}
	known, err := s.guard.Unban(netip.MustParsePrefix("198.51.100.1/24"))
	if !known || err != nil {
		t.Errorf("unban: %v, %v", known, err)
	}
	if known, err = s.guard.Unban(netip.MustParsePrefix("198.51.100.0/24")); known || err != nil {
		t.Errorf("unban again: %v, %v", known, err)
	}
	s.want(t, map[string]time.Duration{"192.0.2.7/32": time.Hour + time.Second + time.Hour, "2001:db8::/64": 0})
}

// TestRestart: bans hold over a start of the process, and over one of the
// machine, when the dataplane is empty and its clock begins anew.
func TestRestart(t *testing.T) {
	s := newStage(t)
	s.ban(t, "192.0.2.7/32", time.Minute)
	s.ban(t, "192.0.2.8/32", 3*time.Minute)
	s.ban(t, "192.0.2.9/32", 0)
	s.dp.rules[netip.MustParsePrefix("203.0.113.1/32")] = loader.Rule{Prefix: netip.MustParsePrefix("203.0.113.1/32")}
	s.pass(2 * time.Minute)
	s.open(t)
	s.want(t, map[string]time.Duration{"192.0.2.8/32": time.Hour + 3*time.Minute, "192.0.2.9/32": 0})

	s.dp.rules = map[netip.Prefix]loader.Rule{}
	s.pass(30 * time.Second)
	s.ticks = 5 * time.Second
	s.open(t)
	s.want(t, map[string]time.Duration{"192.0.2.8/32": 35 * time.Second, "192.0.2.9/32": 0})
}

// TestSweep: what has ended is cleared away, from the file too.
func TestSweep(t *testing.T) {
	s := newStage(t)
	s.ban(t, "192.0.2.7/32", 10*time.Second)
	s.ban(t, "192.0.2.8/32", time.Hour)
	if next := s.guard.sweep(); next != 10*time.Second {
		t.Errorf("next sweep after %s, want 10s", next)
	}
	s.pass(10 * time.Second)
	if list, err := s.guard.Bans(); len(list) != 1 || err != nil {
		t.Errorf("bans are %v, %v; one has ended", list, err)
	}
	if next := s.guard.sweep(); next != sweepPeriod {
		t.Errorf("next sweep after %s, want %s", next, sweepPeriod)
	}
	left := map[string]time.Duration{"192.0.2.8/32": 2 * time.Hour}
	s.want(t, left)
	s.open(t)
	s.want(t, left)
}

// TestRun: the end of a ban is not waited for longer than a sweep's period,
// also where it was set after the last sweep.
func TestRun(t *testing.T) {
	dp := &fake{rules: map[netip.Prefix]loader.Rule{}}
	g, err := New(dp, Options{DataDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Run(ctx)
	}()
	_, err = g.Ban(netip.MustParsePrefix("192.0.2.7/32"), 20*time.Millisecond, "")
	must(t, err)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		left := len(g.bans)
		g.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a ban of 20 ms stands after 20 s")
		}
	}
	cancel()
	<-done
}

// TestRefused: a ban that cannot be is refused, and nothing has changed.
func TestRefused(t *testing.T) {
	s := newStage(t)
	must(t, s.guard.Apply(config.Guard{Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}))
	s.ban(t, "192.0.2.7/32", 0)
	before := map[string]time.Duration{"192.0.2.7/32": 0}
	if _, err := s.guard.Ban(netip.MustParsePrefix("10.1.2.0/24"), 0, ""); !errors.Is(err, ErrExempt) {
		t.Errorf("ban of an exempt prefix: %v", err)
	}
	s.dp.fail = errors.New("no")
	if _, err := s.guard.Ban(netip.MustParsePrefix("192.0.2.7/32"), time.Hour, ""); !errors.Is(err, s.dp.fail) {
		t.Errorf("ban that the dataplane refuses: %v", err)
	}
	if _, err := s.guard.Unban(netip.MustParsePrefix("192.0.2.7/32")); !errors.Is(err, s.dp.fail) {
		t.Errorf("unban that the dataplane refuses: %v", err)
	}
	s.dp.fail = nil
	s.open(t)
	s.want(t, before)
	// A larger prefix than the exempt one still keeps others out.
	s.ban(t, "0.0.0.0/0", 0)
}

// TestDisk: what cannot be written down is not done.
func TestDisk(t *testing.T) {
	s := newStage(t)
	must(t, os.Mkdir(filepath.Join(s.dir, bansFile), 0o700))
	if _, err := s.guard.Ban(netip.MustParsePrefix("192.0.2.7/32"), 0, ""); err == nil {
		t.Error("a ban that was not written down was accepted")
	}
	s.want(t, nil)
	must(t, os.Remove(filepath.Join(s.dir, bansFile)))
	for _, text := range []string{"{", `{"version": 2}`} {
		must(t, os.WriteFile(filepath.Join(s.dir, bansFile), []byte(text), 0o600))
		if _, err := New(s.dp, s.guard.opt); err == nil {
			t.Errorf("a file that holds %s was read", text)
		}
	}
}

func TestRecord(t *testing.T) {
	deny, exempt := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, tt := range map[string]struct {
		settings config.Guard
		want     loader.Guard
	}{
		"nothing": {},
		"all": {
			config.Guard{Deny: deny, Exempt: exempt, SYNPerClient: config.Rate{Events: 50, Per: time.Second}, FlowsPerClient: 3, Challenge: "auto"},
			loader.Guard{Deny: deny, Exempt: exempt, SYNInterval: 20 * time.Millisecond, SYNBurst: 980 * time.Millisecond, FlowsPerSource: 3, Challenge: true},
		},
		"one in an hour": {
			config.Guard{SYNPerClient: config.Rate{Events: 1, Per: time.Hour}, Challenge: "off"},
			loader.Guard{SYNInterval: time.Hour},
		},
	} {
		if diff := cmp.Diff(tt.want, record(tt.settings), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
