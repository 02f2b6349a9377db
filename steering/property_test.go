package steering

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/loader"
	"sluice/steering/ring"
)

// story is a random sequence of everything that may happen to a Table, with a
// second opinion on what must be true after each step.
type story struct {
	*rig
	rng *rand.Rand
	log []string

	services []config.Service // in force
	sick     map[string]bool  // backends that fail their checks
	orders   map[string]State // the operator's
	weights  map[string]map[netip.AddrPort]weightOrder
	flows    map[netip.AddrPort]promise // by client
	begun    map[netip.AddrPort]promise // handshakes under way
	shown    map[string]Counters        // highest shown so far
	broken   bool                       // calls fail now and then
}

// promise is a flow that must go on.
type promise struct {
	listen, backend netip.AddrPort
	at              time.Duration
}

var (
	listens  = []string{"192.0.2.3:22", "192.0.2.4:22", "192.0.2.5:2022"}
	backends = []string{"b1", "b2", "b3", "b4", "b5"}
)

func newStory(t *testing.T, seed uint64) *story {
	s := &story{
		rig: newRig(t), rng: rand.New(rand.NewPCG(seed, 1)),
		sick: map[string]bool{}, orders: map[string]State{}, weights: map[string]map[netip.AddrPort]weightOrder{},
		flows: map[netip.AddrPort]promise{}, begun: map[netip.AddrPort]promise{}, shown: map[string]Counters{},
	}
	s.settle()
	return s
}

func (s *story) pick(list []string) string { return list[s.rng.IntN(len(list))] }

// randomSettings names some backends in some services.
func (s *story) randomSettings() []config.Service {
	var list []config.Service
	for i, listen := range listens {
		if s.rng.IntN(4) == 0 {
			continue
		}
		svc := at(serving(), fmt.Sprintf("s%d", i), listen)
		if i == 2 && !s.broken {
			svc.Mode, svc.ClientAddress = config.ModeDSR, ""
		}
		svc.LastResort = []config.LastResort{config.LastResortNone, config.LastResortDraining}[i%2]
		for _, name := range backends {
			if s.rng.IntN(3) > 0 {
				svc.Backends = append(svc.Backends, serving(fmt.Sprintf("%s*%d", name, s.rng.IntN(4))).Backends[0])
			}
		}
		list = append(list, svc)
	}
	return list
}

func (s *story) step() string {
	ctx := context.Background()
	name := s.pick(backends)
	switch s.rng.IntN(14) {
	case 0, 1:
		next := s.randomSettings()
		_, err := s.table.Apply(ctx, settings(next...))
		if s.done(err) {
			s.forgetWeights(next)
			s.services = next
		}
		return fmt.Sprintf("apply %s: %v", brief(next), err)
	case 2:
		_, err := s.table.Drain(ctx, named(name), DrainOptions{Yes: true})
		if s.done(err) {
			s.orders[name] = StateDraining
		}
		return fmt.Sprintf("drain %s: %v", name, err)
	case 3:
		_, err := s.table.Disable(ctx, named(name), true)
		if s.done(err) {
			s.orders[name] = StateDisabled
		}
		return fmt.Sprintf("disable %s: %v", name, err)
	case 4:
		_, err := s.table.Enable(ctx, named(name))
		if s.done(err) {
			delete(s.orders, name)
		}
		return fmt.Sprintf("enable %s: %v", name, err)
	case 5:
		weight := s.rng.IntN(4)
		_, err := s.table.SetWeight(ctx, named(name), weight, true)
		if s.done(err) {
			s.noteWeight(name, weight)
		}
		return fmt.Sprintf("weight %s %d: %v", name, weight, err)
	case 6:
		s.sick[name] = !s.sick[name]
		return fmt.Sprintf("%s fails %v", name, s.sick[name])
	case 7:
		s.restart()
		_, err := s.table.Apply(ctx, settings(s.services...))
		for s.broken && err != nil {
			_, err = s.table.Apply(ctx, settings(s.services...))
		}
		s.done(err)
		return "restart"
	case 8:
		if len(s.table.hops) == 0 {
			return "nothing"
		}
		addr := backendAddr(name).Addr()
		return fmt.Sprintf("move %s: %v", name, s.table.Moved(addr, s.resolver.hop()))
	case 9:
		d := time.Duration(s.rng.IntN(150)) * time.Second
		s.pause(d)
		return fmt.Sprintf("pause %v", d)
	case 10:
		return s.finish()
	default:
		return s.connect()
	}
}

func brief(services []config.Service) string {
	var text string
	for _, svc := range services {
		text += fmt.Sprintf("%v [", svc.Listen)
		for _, b := range svc.Backends {
			text += fmt.Sprintf("%s*%d ", b.Name, b.Weight)
		}
		text += "] "
	}
	return text
}

// done reports whether an order took effect. Only what cannot be known or was
// made to fail may fail.
func (s *story) done(err error) bool {
	if err != nil && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrNotReady) && !(s.broken && errors.Is(err, errInjected)) {
		s.Fatalf("%v: %v", s.log, err)
	}
	return err == nil
}

func (s *story) noteWeight(name string, weight int) {
	for _, svc := range s.services {
		for _, b := range svc.Backends {
			if b.Name != name {
				continue
			}
			if s.weights[name] == nil {
				s.weights[name] = map[netip.AddrPort]weightOrder{}
			}
			s.weights[name][svc.Listen] = weightOrder{Operator: weight, Settings: b.Weight}
		}
	}
}

// forgetWeights drops the operator's weights that new settings replace.
func (s *story) forgetWeights(next []config.Service) {
	for _, svc := range next {
		for _, b := range svc.Backends {
			if w, ok := s.weights[b.Name][svc.Listen]; ok && w.Settings != b.Weight {
				delete(s.weights[b.Name], svc.Listen)
			}
		}
	}
}

// pause lets time pass with every loop at work.
func (s *story) pause(d time.Duration) {
	for step := d / 4; d > 0; d -= max(step, 1) {
		s.clock.advance(max(step, 1))
		_ = s.drainer.tick()
		s.table.pass(context.Background())
	}
	for client, p := range s.begun {
		if s.clock.monotonic()-p.at > s.dp.lifetimes.Embryo {
			delete(s.begun, client)
		}
	}
}

// connect begins a handshake, or a flow, or completes a handshake.
func (s *story) connect() string {
	if s.rng.IntN(3) == 0 {
		for client, p := range s.begun {
			delete(s.begun, client)
			if ok := s.dp.ack(client, p.listen); ok {
				s.flows[client] = p
			}
			return fmt.Sprint("ack of ", client)
		}
	}
	client, listen := s.client(), addrPort(s.pick(listens))
	allowed := s.eligible(listen)
	backend, ok := s.dp.syn(client, listen)
	if ok != (len(allowed) > 0) || ok && !slices.Contains(allowed, backend) {
		s.Fatalf("%v\nnew flow to %v went to %v (%v), eligible are %v", s.log, listen, backend, ok, allowed)
	}
	if ok {
		s.begun[client] = promise{listen, backend, s.clock.monotonic()}
	}
	return fmt.Sprintf("syn of %v to %v: %v", client, listen, backend)
}

func (s *story) finish() string {
	for client, p := range s.flows {
		s.dp.fin(client, p.listen)
		delete(s.flows, client)
		return fmt.Sprint("fin of ", client)
	}
	return "nothing"
}

// eligible is the second opinion on who may get a new flow.
func (s *story) eligible(listen netip.AddrPort) []netip.AddrPort {
	var up, draining []netip.AddrPort
	at := slices.IndexFunc(s.services, func(svc config.Service) bool { return svc.Listen == listen })
	if at < 0 {
		return nil
	}
	for _, b := range s.services[at].Backends {
		weight := b.Weight
		if w, ok := s.weights[b.Name][listen]; ok {
			weight = w.Operator
		}
		if s.sick[b.Name] || weight == 0 {
			continue
		}
		switch s.orders[b.Name] {
		case "":
			up = append(up, b.Addr)
		case StateDraining:
			draining = append(draining, b.Addr)
		}
	}
	if len(up) == 0 && s.services[at].LastResort == config.LastResortDraining {
		return draining
	}
	return up
}

// settle delivers what checks say, and takes over what ended by itself.
func (s *story) settle() {
	var results []CheckResult
	for _, id := range s.checker.running() {
		results = append(results, CheckResult{CheckID: id, Up: !s.sick[nameOf(id.Backend)]})
	}
	for s.table.applyResults(results) != nil {
		if !s.broken {
			s.Fatalf("%v: results not applied", s.log)
		}
	}
	m := s.table.model.Load()
	for _, name := range backends {
		b, there := m.backends[backendAddr(name)]
		if !there && m.applied {
			// With the object go the orders about it.
			delete(s.orders, name)
			delete(s.weights, name)
		}
		if s.orders[name] == StateDraining && b.order.State == StateDisabled {
			s.orders[name] = StateDisabled
		}
	}
}

func nameOf(addr netip.AddrPort) string { return fmt.Sprintf("b%d", addr.Addr().As4()[3]) }

// check is what must be true at any time.
func (s *story) check() {
	s.Helper()
	for client, p := range s.flows {
		if backend, ok := s.dp.data(client, p.listen); !ok || backend != p.backend {
			s.Fatalf("%v\nflow of %v with %v is with %v (%v)", s.log, client, p.backend, backend, ok)
		}
	}
	if len(s.dp.misdirected) > 0 {
		s.Fatalf("%v\nmisdirected: %v", s.log, s.dp.misdirected)
	}
	s.checkCounters()
}

func (s *story) checkCounters() {
	s.Helper()
	st := s.status()
	now := map[string]Counters{}
	var living uint64
	for _, b := range st.Backends {
		now["backend "+b.Addr.String()] = b.Counters
		living += b.FlowsNow
	}
	for _, svc := range st.Services {
		now["service "+svc.Listen.String()] = svc.Flows
	}
	for key, c := range now {
		if c.below(s.shown[key]) {
			s.Fatalf("%v\ncounters of %s went back from\n%+v to\n%+v", s.log, key, s.shown[key], c)
		}
	}
	maps.Copy(s.shown, now)
	if living != uint64(len(s.flows)) {
		s.Fatalf("%v\n%d flows are shown, %d live", s.log, living, len(s.flows))
	}
	for _, a := range st.Alarms {
		if a.Subject == "counters" {
			s.Fatalf("%v\nalarm: %+v", s.log, a)
		}
	}
}

// checkRings compares the rings, made by one change after another, with those
// of a gateway that starts with what is true now.
func (s *story) checkRings() {
	s.Helper()
	m := s.table.model.Load()
	for listen, id := range s.dp.published {
		for i, want := range ring.Build(s.opt.RingKey, m.layout(m.services[id])) {
			if got := s.dp.rings[id].Get(i); got != loader.MemberID(want) {
				s.Fatalf("%v\nentry %d of %v is %d, want %d", s.log, i, listen, got, want)
			}
		}
	}
}

func (s *story) tell(steps int) {
	for range steps {
		s.log = append(s.log, "\n\t"+s.step())
		fault := s.dp.fault
		s.dp.fault = nil
		s.settle()
		s.check()
		s.dp.fault = fault
	}
	s.dp.fault = nil
	s.checkRings()
}

// TestStories: whatever happens in whatever order, no established flow moves or
// loses its record, new flows go to eligible backends only, and counters never
// go backwards.
func TestStories(t *testing.T) {
	for seed := range uint64(seeds(20)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newStory(t, seed).tell(120) })
	}
}

// TestStoriesWithFaults is the same on a dataplane that fails now and then.
func TestStoriesWithFaults(t *testing.T) {
	for seed := range uint64(seeds(20)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newStory(t, 1000+seed)
			s.broken = true
			faults := rand.New(rand.NewPCG(seed, 2))
			s.dp.fault = func(call string) error {
				// Reading is not what is tried here: New and Status need it.
				for _, kind := range []string{"Put", "Publish", "Withdraw", "Delete", "Kill", "Expire"} {
					if len(call) > len(kind) && call[:len(kind)] == kind && faults.IntN(12) == 0 {
						return errInjected
					}
				}
				return nil
			}
			s.tell(120)
		})
	}
}

// seeds is how many stories are told; SLUICE_TEST_FULL tells all n.
func seeds(n int) int {
	if os.Getenv("SLUICE_TEST_FULL") == "" {
		return n / 4
	}
	return n
}
