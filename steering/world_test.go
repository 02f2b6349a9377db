package steering

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sluice/internal/config"
)

// world is a dataplane with clients before and backends behind it. The cases
// of cases_test.go run in each: on the fake, and on the kernel's own programs.
type world interface {
	// start opens the dataplane as a process does that takes over from one that
	// died, and says with what a Table goes with it.
	start(t *testing.T) (Dataplane, Options)
	listen() netip.AddrPort
	// backend returns where number 1 to 3 is.
	backend(n int) netip.AddrPort
	// dial connects a client to listen from a port of its own.
	dial(t *testing.T, port uint16) (session, error)
	// wait lets a moment pass; patience is for how long a case may wait.
	wait()
	patience() time.Duration
}

// session is a connection of a client, established and answered.
type session interface {
	client() netip.AddrPort
	backend() netip.AddrPort
	// talk reports whether the backend still answers.
	talk() bool
	close()
}

// stage is a Table in a world.
type stage struct {
	*testing.T
	world
	dp      Dataplane
	checker *fakeChecker
	table   *Table
	drainer *drainer
	dir     string
	port    uint16
}

func newStage(t *testing.T, w world) *stage {
	s := &stage{T: t, world: w, dir: t.TempDir(), port: 41000}
	s.restart()
	return s
}

func (s *stage) restart() {
	s.Helper()
	dp, opt := s.start(s.T)
	s.dp = dp
	s.checker = &fakeChecker{results: make(chan CheckResult)}
	opt.DataDir, opt.Checker, opt.save = s.dir, s.checker, quickSave
	table, err := New(dp, opt)
	if err != nil {
		s.Fatal(err)
	}
	s.table, s.drainer = table, newDrainer(table)
}

// apply names backends by number in the one service; none at all removes it.
func (s *stage) apply(backends ...int) {
	s.Helper()
	cfg := serving()
	cfg.Listen = s.listen()
	for _, n := range backends {
		cfg.Backends = append(cfg.Backends, config.Backend{Name: fmt.Sprintf("b%d", n), Addr: s.backend(n), Weight: 1})
	}
	all := settings(cfg)
	all.Dataplane.Lifetimes.Embryo = time.Second
	if len(backends) == 0 {
		all.Services = nil
	}
	if _, err := s.table.Apply(s.Context(), all); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) verdict(up bool, backends ...int) {
	s.Helper()
	var results []CheckResult
	for _, n := range backends {
		results = append(results, CheckResult{CheckID: CheckID{Backend: s.backend(n)}, Up: up})
	}
	if err := s.table.applyResults(results); err != nil {
		s.Fatal(err)
	}
}

// until gives every loop its turns until done, and fails the test where that
// takes too long.
func (s *stage) until(what string, done func() bool) {
	s.Helper()
	for end := s.table.opt.monotonic() + s.patience(); !done(); s.wait() {
		if s.table.opt.monotonic() > end {
			s.Fatalf("waited in vain: %s", what)
		}
		if err := s.drainer.tick(); err != nil {
			s.Fatal(err)
		}
		s.table.pass(s.Context())
	}
}

// connect dials n times and returns the sessions.
func (s *stage) connect(n int) []session {
	s.Helper()
	var list []session
	for range n {
		s.port++
		c, err := s.dial(s.T, s.port)
		if err != nil {
			s.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

// connectTo dials until a session meets the backend; the others are closed.
func (s *stage) connectTo(n int) session {
	s.Helper()
	for range 200 {
		c := s.connect(1)[0]
		if c.backend() == s.backend(n) {
			return c
		}
		c.close()
	}
	s.Fatalf("none of 200 connections met backend %d", n)
	return nil
}

func (s *stage) talks(sessions ...session) {
	s.Helper()
	for _, c := range sessions {
		if !c.talk() {
			s.Errorf("the session of %v with %v does not go on", c.client(), c.backend())
		}
	}
}

func (s *stage) backends() map[netip.AddrPort]BackendStatus {
	s.Helper()
	st, err := s.table.Status()
	if err != nil {
		s.Fatal(err)
	}
	found := map[netip.AddrPort]BackendStatus{}
	for _, b := range st.Backends {
		found[b.Addr] = b
	}
	return found
}

func (s *stage) flowsNow() (sum uint64) {
	s.Helper()
	for _, b := range s.backends() {
		sum += b.FlowsNow
	}
	return sum
}

// met returns which backends the sessions are with, sorted.
func met(sessions []session) []netip.AddrPort {
	var list []netip.AddrPort
	for _, c := range sessions {
		list = append(list, c.backend())
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list)
}
