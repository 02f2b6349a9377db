package steering

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"sluice/loader"
)

// cases are what a Table owes to clients, told without a look at how.
var cases = map[string]func(*stage){
	"new flows go to backends that are up, and are counted": func(s *stage) {
		s.apply(1, 2, 3)
		if c, err := s.dial(s.T, 40999); err == nil {
			s.Errorf("with nobody up a connection met %v", c.backend())
		}
		s.verdict(true, 1, 2)
		sessions := s.connect(24)
		if got := met(sessions); !slices.Equal(got, []netip.AddrPort{s.backend(1), s.backend(2)}) {
			s.Errorf("connections met %v", got)
		}
		s.talks(sessions...)
		s.until("all flows are shown", func() bool { return s.flowsNow() == 24 })
		s.until("all flows are listed", func() bool {
			page, err := s.table.Flows(s.Context(), Query{Limit: 100, State: loader.FlowEstablished})
			return err == nil && page.Total == 24
		})
		for _, c := range sessions {
			c.close()
		}
		s.until("no flow is left", func() bool { return s.flowsNow() == 0 })
		var opened uint64
		for _, b := range s.backends() {
			opened += b.Counters.FlowsOpened
		}
		if opened != 24 {
			s.Errorf("%d flows were opened, 24 are counted to be", opened)
		}
	},
	"what is explained is what happens": func(s *stage) {
		s.apply(1, 2, 3)
		s.verdict(true, 1, 2, 3)
		for range 12 {
			client := netip.AddrPortFrom(s.connect(1)[0].client().Addr(), s.port+1)
			before, err := s.table.Explain(s.Context(), client, s.listen())
			if err != nil {
				s.Fatal(err)
			}
			c := s.connect(1)[0]
			if before.Verdict != VerdictForward || before.BackendAddr != c.backend() || before.Known != nil {
				s.Errorf("%v met %v, explained was %+v", client, c.backend(), before)
			}
			after, err := s.table.Explain(s.Context(), client, netip.AddrPort{})
			if err != nil || after.Known == nil || after.BackendAddr != c.backend() || after.RingEntry != before.RingEntry {
				s.Errorf("of the flow with %v is explained %+v, %v", c.backend(), after, err)
			}
		}
	},
	"a drain breaks nothing, gets nothing new and ends": func(s *stage) {
		s.apply(1, 2)
		s.verdict(true, 1, 2)
		old := s.connectTo(1)
		if _, err := s.table.Drain(s.Context(), named("b1"), DrainOptions{}); err != nil {
			s.Fatal(err)
		}
		fresh := s.connect(12)
		if got := met(fresh); !slices.Equal(got, []netip.AddrPort{s.backend(2)}) {
			s.Errorf("during the drain connections met %v", got)
		}
		s.talks(append(fresh, old)...)
		if got := s.backends()[s.backend(1)]; got.State != StateDraining {
			s.Errorf("it is %s", got.State)
		}
		old.close()
		s.until("the drain ends", func() bool { return s.backends()[s.backend(1)].State == StateDisabled })
		if _, err := s.table.Enable(s.Context(), named("b1")); err != nil {
			s.Fatal(err)
		}
		s.verdict(true, 1)
		s.connectTo(1).close()
		s.talks(fresh...)
	},
	"a deadline ends what is left": func(s *stage) {
		s.apply(1, 2)
		s.verdict(true, 1, 2)
		ends, stays := s.connectTo(1), s.connectTo(2)
		if _, err := s.table.Drain(s.Context(), named("b1"), DrainOptions{Deadline: time.Second}); err != nil {
			s.Fatal(err)
		}
		s.until("the drain ends", func() bool { return s.backends()[s.backend(1)].State == StateDisabled })
		if ends.talk() {
			s.Error("past the deadline the session goes on")
		}
		s.talks(stays)
	},
	"a backend that leaves keeps its flows, and its counters when it is back": func(s *stage) {
		s.apply(1, 2)
		s.verdict(true, 1, 2)
		old, other := s.connectTo(1), s.connectTo(2)
		s.apply(2)
		if got := met(s.connect(12)); !slices.Equal(got, []netip.AddrPort{s.backend(2)}) {
			s.Errorf("connections met %v", got)
		}
		s.talks(old, other)
		was := s.backends()[s.backend(1)]
		if was.State != StateRemoved || was.FlowsNow == 0 {
			s.Errorf("it is %+v", was)
		}
		old.close()
		s.until("the record is given back", func() bool {
			members, err := s.dp.Members()
			return err == nil && len(members) == 1
		})
		s.apply(1, 2)
		s.verdict(true, 1)
		s.connectTo(1).close()
		if got := s.backends()[s.backend(1)].Counters; got.FlowsOpened <= was.Counters.FlowsOpened || got.below(was.Counters) {
			s.Errorf("counters are %+v, were %+v", got, was.Counters)
		}
		s.talks(other)
	},
	"a process that takes over changes nothing": func(s *stage) {
		s.apply(1, 2)
		s.verdict(true, 1, 2)
		c1, c2 := s.connectTo(1), s.connectTo(2)
		if _, err := s.table.Drain(s.Context(), named("b2"), DrainOptions{}); err != nil {
			s.Fatal(err)
		}
		before := s.backends()
		s.restart()
		s.talks(c1, c2)
		if got := met(s.connect(6)); !slices.Equal(got, []netip.AddrPort{s.backend(1)}) {
			s.Errorf("before settings connections met %v", got)
		}
		s.apply(1, 2)
		if got := met(s.connect(6)); !slices.Equal(got, []netip.AddrPort{s.backend(1)}) {
			s.Errorf("with settings connections met %v", got)
		}
		s.talks(c1, c2)
		for addr, b := range s.backends() {
			if was := before[addr]; b.Counters.below(was.Counters) || b.State != was.State {
				s.Errorf("%v is %+v, was %+v", addr, b, was)
			}
		}
	},
	"a service that leaves keeps its flows and its address until they end": func(s *stage) {
		s.apply(1)
		s.verdict(true, 1)
		c := s.connect(1)[0]
		s.apply()
		s.talks(c)
		if c, err := s.dial(s.T, 40999); err == nil {
			s.Errorf("a connection met %v", c.backend())
		}
		c.close()
		s.until("the service is given back", func() bool {
			services, err := s.dp.Services()
			return err == nil && len(services) == 0
		})
	},
}

func TestCasesOnTheFake(t *testing.T) {
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(newStage(t, newFakeWorld(t))) })
	}
}

// fakeWorld has no wires: sessions are calls.
type fakeWorld struct {
	dp    *fakeDataplane
	clock *clock
}

func newFakeWorld(t *testing.T) *fakeWorld {
	c := &clock{at: time.Hour}
	w := &fakeWorld{dp: newFakeDataplane(c), clock: c}
	w.dp.lifetimes.Embryo = time.Second
	t.Cleanup(func() {
		for _, text := range w.dp.misdirected {
			t.Errorf("misdirected: %s", text)
		}
	})
	return w
}

func (w *fakeWorld) start(*testing.T) (Dataplane, Options) {
	resolver := &fakeResolver{dp: w.dp, acquired: map[netip.Addr]int{}}
	return w.dp, Options{Resolver: resolver, now: w.clock.now, monotonic: w.clock.monotonic}
}

func (w *fakeWorld) listen() netip.AddrPort { return vip }
func (w *fakeWorld) backend(n int) netip.AddrPort {
	return addrPort("10.0.0." + string(rune('0'+n)) + ":22")
}
func (w *fakeWorld) wait()                   { w.clock.advance(time.Second) }
func (w *fakeWorld) patience() time.Duration { return 10 * time.Minute }

func (w *fakeWorld) dial(_ *testing.T, port uint16) (session, error) {
	client := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.100"), port)
	backend, ok := w.dp.open(client, vip)
	if !ok {
		return nil, errInjected
	}
	return &fakeSession{w, client, backend}, nil
}

type fakeSession struct {
	w        *fakeWorld
	from, to netip.AddrPort
}

func (c *fakeSession) client() netip.AddrPort  { return c.from }
func (c *fakeSession) backend() netip.AddrPort { return c.to }
func (c *fakeSession) close()                  { c.w.dp.fin(c.from, vip) }

func (c *fakeSession) talk() bool {
	backend, ok := c.w.dp.data(c.from, vip)
	return ok && backend == c.to
}
