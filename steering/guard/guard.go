// Package guard keeps the bans and tells the dataplane who may not come in.
//
// Bans are operators' orders: they hold over restarts, in a file, and end by
// themselves. The dataplane looks at a ban's end itself, so nobody is kept out
// longer because this process is late, or dead.
package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/config"
	"sluice/loader"
	"sluice/steering/disk"
)

// ErrExempt is that a ban would do nothing, because the settings exempt all of
// its prefix.
var ErrExempt = errors.New("the settings exempt it (guard.exempt)")

// ErrFull is that no more can be banned.
var ErrFull = fmt.Errorf("%d sources and %d other prefixes are the limit", loader.MaxBans, loader.MaxPrefixes)

// Dataplane is what a Guard needs of the maps. Every method may be called from
// many goroutines at once.
type Dataplane interface {
	SetGuard(loader.Guard) error
	Ban(p netip.Prefix, until time.Duration) error
	Unban(netip.Prefix) error
	Bans() ([]loader.Rule, error)
	Denied() ([]loader.Rule, error)
	Exempt() ([]loader.Rule, error)
	// Pressed reports whether unknown sources are challenged at present.
	Pressed() (bool, error)
}

// Options are what a Guard is made with.
type Options struct {
	// DataDir is an existing directory for the bans.
	DataDir string
	Log     *slog.Logger

	now       func() time.Time
	monotonic func() time.Duration
}

// Ban keeps new connections of a prefix out.
type Ban struct {
	Prefix netip.Prefix `json:"prefix"`
	// Reason is the operator's, for other operators.
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it ends; zero is never.
	Until time.Time `json:"until,omitzero"`
	// Packets and Bytes are what it kept out.
	Packets uint64 `json:"-"`
	Bytes   uint64 `json:"-"`
}

// over says whether a ban has ended.
func (b Ban) over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// Guard holds the bans. Its methods may be called from several goroutines.
type Guard struct {
	dp  Dataplane
	opt Options

	mu     sync.Mutex
	bans   map[netip.Prefix]Ban
	exempt []netip.Prefix
	wake   chan struct{} // an end came nearer
}

// bansFile is where in the data directory the bans are.
const bansFile = "bans.json"

// saved is the file.
type saved struct {
	Version int   `json:"version"`
	Bans    []Ban `json:"bans"`
}

const savedVersion = 1

// New reads the bans and brings the dataplane to them.
func New(dp Dataplane, o Options) (*Guard, error) {
	if o.now == nil {
		o.now, o.monotonic = time.Now, monotonic
	}
	g := &Guard{dp: dp, opt: o, bans: map[netip.Prefix]Ban{}, wake: make(chan struct{}, 1)}
	var file saved
	if err := disk.Load(o.DataDir, bansFile, &file); err != nil {
		return nil, fmt.Errorf("read bans: %v; repair or remove %s in %s", err, bansFile, o.DataDir)
	}
	if file.Version > savedVersion {
		return nil, fmt.Errorf("read bans: %s in %s is of version %d, from a newer sluice", bansFile, o.DataDir, file.Version)
	}
	for _, b := range file.Bans {
		if b.Prefix.IsValid() && !b.over(o.now()) {
			g.bans[b.Prefix.Masked()] = b
		}
	}
	return g, g.restore()
}

func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("guard: no monotonic clock: " + err.Error()) // every kernel has one
	}
	return time.Duration(ts.Nano())
}

// restore makes the dataplane's bans those of the file.
func (g *Guard) restore() error {
	have, err := g.dp.Bans()
	if err != nil {
		return err
	}
	for _, r := range have {
		if _, stands := g.bans[r.Prefix]; !stands {
			if err := g.dp.Unban(r.Prefix); err != nil {
				return err
			}
		}
	}
	for p, b := range g.bans {
		if err := g.dp.Ban(p, g.end(b)); err != nil {
			return err
		}
	}
	return nil
}

// end is the end of a ban on the dataplane's clock.
func (g *Guard) end(b Ban) time.Duration {
	if b.Until.IsZero() {
		return 0
	}
	// 0 would be for ever.
	return max(1, g.opt.monotonic()+b.Until.Sub(g.opt.now()))
}

// Apply brings the dataplane to settings. Where it fails, some of the change
// may be in force: apply the earlier settings again.
func (g *Guard) Apply(s config.Guard) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.dp.SetGuard(record(s)); err != nil {
		return fmt.Errorf("apply guard: %w", err)
	}
	g.exempt = s.Exempt
	return nil
}

// record is what the dataplane is told of settings.
func record(s config.Guard) loader.Guard {
	g := loader.Guard{
		Deny: s.Deny, Exempt: s.Exempt, FlowsPerSource: s.FlowsPerClient, Challenge: s.Challenge == config.ChallengeAuto,
	}
	if n := s.SYNPerClient.Events; n > 0 {
		g.SYNInterval = s.SYNPerClient.Per / time.Duration(n)
		g.SYNBurst = s.SYNPerClient.Per - g.SYNInterval
	}
	return g
}

// Ban keeps new connections of p out for a time, 0 for ever. A ban of the same
// prefix gets the new reason and end. Errors match ErrExempt or ErrFull, or say
// what failed; then nothing has changed.
func (g *Guard) Ban(p netip.Prefix, span time.Duration, reason string) (Ban, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p = p.Masked()
	for _, e := range g.exempt {
		if e.Bits() <= p.Bits() && e.Contains(p.Addr()) {
			return Ban{}, fmt.Errorf("ban %s: %w", p, ErrExempt)
		}
	}
	b := Ban{Prefix: p, Reason: reason, Since: g.opt.now().UTC()}
	if span > 0 {
		b.Until = b.Since.Add(span)
	}
	earlier, known := g.bans[p]
	if !known && g.full(p) {
		return Ban{}, fmt.Errorf("ban %s: %w", p, ErrFull)
	}
	g.bans[p] = b
	if err := g.commit(func() error { return g.dp.Ban(p, g.end(b)) }); err != nil {
		delete(g.bans, p)
		if known {
			g.bans[p] = earlier
		}
		return Ban{}, fmt.Errorf("ban %s: %w", p, errors.Join(err, g.save()))
	}
	g.poke()
	return b, nil
}

// full reports whether the table for p has no room.
func (g *Guard) full(p netip.Prefix) bool {
	single := func(p netip.Prefix) bool { return p == loader.SourcePrefix(p.Addr()) }
	n := 0
	for other := range g.bans {
		if single(other) == single(p) {
			n++
		}
	}
	if single(p) {
		return n >= loader.MaxBans
	}
	return n >= loader.MaxPrefixes
}

// Unban takes the ban of p back, and says whether there was one.
func (g *Guard) Unban(p netip.Prefix) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p = p.Masked()
	b, known := g.bans[p]
	if !known {
		return false, nil
	}
	delete(g.bans, p)
	if err := g.commit(func() error { return g.dp.Unban(p) }); err != nil {
		g.bans[p] = b
		return false, fmt.Errorf("unban %s: %w", p, errors.Join(err, g.save()))
	}
	return true, nil
}

// commit writes the bans down and then does what they say: what an operator was
// told holds after a crash.
func (g *Guard) commit(do func() error) error {
	if err := g.save(); err != nil {
		return err
	}
	return do()
}

func (g *Guard) save() error {
	file := saved{Version: savedVersion, Bans: slices.SortedFunc(maps.Values(g.bans), byPrefix)}
	data, err := json.Marshal(file)
	if err == nil {
		err = disk.Save(g.opt.DataDir, bansFile, data)
	}
	if err != nil {
		return fmt.Errorf("write bans down: %v", err)
	}
	return nil
}

func byPrefix(a, b Ban) int { return a.Prefix.Compare(b.Prefix) }

// Bans returns the bans in force, the latest first.
func (g *Guard) Bans() ([]Ban, error) {
	rules, err := g.dp.Bans()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Ban, 0, len(g.bans))
	for _, r := range rules {
		if b, ok := g.bans[r.Prefix]; ok && !b.over(g.opt.now()) {
			b.Packets, b.Bytes = r.Packets, r.Bytes
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b Ban) int { return cmp.Or(b.Since.Compare(a.Since), byPrefix(a, b)) })
	return list, nil
}

// Denied returns what each prefix of guard.deny kept out.
func (g *Guard) Denied() ([]loader.Rule, error) { return g.dp.Denied() }

// Exempt returns what each prefix of guard.exempt let past, see
// [loader.Dataplane.Exempt].
func (g *Guard) Exempt() ([]loader.Rule, error) { return g.dp.Exempt() }

// Pressed reports whether more handshakes begin than can be kept, so that
// unknown sources are challenged.
func (g *Guard) Pressed() (bool, error) { return g.dp.Pressed() }

// Run clears away bans that have ended, until ctx is done.
func (g *Guard) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(g.sweep())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-g.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (g *Guard) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// sweepPeriod is how late a ban that has ended may be cleared away.
const sweepPeriod = time.Minute

// sweep clears away what has ended and returns when to come again.
func (g *Guard) sweep() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, next := g.opt.now(), sweepPeriod
	var ended []Ban
	for p, b := range g.bans {
		switch {
		case b.over(now):
			ended = append(ended, b)
			delete(g.bans, p)
		case !b.Until.IsZero():
			next = min(next, b.Until.Sub(now))
		}
	}
	if len(ended) == 0 {
		return next
	}
	if err := g.save(); err != nil {
		g.opt.Log.Error("bans not written down", "error", err)
	}
	for _, b := range ended {
		if err := g.dp.Unban(b.Prefix); err != nil {
			g.opt.Log.Error("ban not cleared away", "prefix", b.Prefix, "error", err)
			g.bans[b.Prefix] = b // at the next sweep
			next = sweepPeriod
			continue
		}
		g.opt.Log.Info("ban ended", "prefix", b.Prefix, "reason", b.Reason)
	}
	return next
}
