package steering

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sluice/loader"
)

// Verdict is what the dataplane does with a packet.
type Verdict string

// The verdicts: to a backend, up to this host, or nowhere.
const (
	VerdictForward Verdict = "forward"
	VerdictPass    Verdict = "pass"
	VerdictDrop    Verdict = "drop"
)

// ErrNeedListen is matched where a question fits several services.
var ErrNeedListen = errors.New("several services are possible; give the listen address")

// Explanation is where a packet of a client goes, and why.
type Explanation struct {
	Client, Listen netip.AddrPort
	Service        string
	Mode           loader.Mode
	// Nodes says that the service is in mode sshd with nodes; Mode is what gets
	// packets to them.
	Nodes   bool
	Verdict Verdict
	// Reason is the drop reason where Verdict is drop.
	Reason string
	// Backend and the next fields are set where a backend was found.
	Backend      string
	BackendAddr  netip.AddrPort
	BackendState State
	NextHop      loader.NextHopID
	// Known is the flow that decided; nil where the ring did.
	Known *Flow
	// RingEntry is the one the client falls on.
	RingEntry int
	// Steps are the decisions in order, one sentence each.
	Steps []string
	// Program is the same as the packet program tells it: a second instance of
	// it was given the packet, and changed nothing.
	Program []string
}

func (e *Explanation) step(format string, args ...any) {
	e.Steps = append(e.Steps, fmt.Sprintf(format, args...))
}

func (e *Explanation) drop(reason, format string, args ...any) {
	e.Verdict, e.Reason = VerdictDrop, reason
	e.step(format, args...)
}

// Explain follows a packet from client to listen without sending one. A zero
// listen stands for the service of the flow the client has, or for the only
// service. Errors match ErrUnknown where listen is no service and ErrNeedListen
// where it cannot be guessed; others are ctx's or the dataplane's.
func (t *Table) Explain(ctx context.Context, client, listen netip.AddrPort) (Explanation, error) {
	if err := ctx.Err(); err != nil {
		return Explanation{}, err
	}
	m := t.model.Load()
	s, known, err := t.locate(m, client, listen)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{
		Client: client, Listen: s.record.Listen, Service: s.name, Mode: s.record.Mode, Nodes: s.record.Nodes, Verdict: VerdictForward,
	}
	e.Program = t.ask(m, loader.Probe{Client: client, Listen: s.record.Listen, SYN: known == nil})
	e.step("%v is service %q in mode %s", s.record.Listen, s.name, modeName(s.record))
	if !s.steers() {
		e.Verdict = VerdictPass
		e.step("it ends on this node: the packet is passed up to its listener")
		return e, nil
	}
	e.RingEntry = t.dp.FlowHash(client, s.record)
	member := t.choose(&e, m, s, known)
	if member == 0 {
		return e, nil
	}
	return e, t.toBackend(&e, m, member)
}

// locate finds the service and, if there is one, the living flow.
func (t *Table) locate(m *model, client, listen netip.AddrPort) (service, *loader.Flow, error) {
	var reached []service
	for _, s := range m.listed() {
		if s.phase == phaseReplaced || listen.IsValid() && s.record.Listen != listen {
			continue
		}
		f, found, err := t.dp.Find(s.id, client)
		if err != nil {
			return service{}, nil, fmt.Errorf("explain: %w", err)
		}
		if found {
			return s, &f, nil
		}
		reached = append(reached, s)
	}
	switch {
	case len(reached) == 1:
		return reached[0], nil, nil
	case len(reached) == 0 && listen.IsValid():
		return service{}, nil, fmt.Errorf("explain: %v: %w: no service listens there; see show services", listen, ErrUnknown)
	case len(reached) == 0:
		return service{}, nil, fmt.Errorf("explain: %w: there is no service", ErrUnknown)
	default:
		return service{}, nil, fmt.Errorf("explain: %w", ErrNeedListen)
	}
}

// choose tells how the member is found: by the flow, else by the ring.
func (t *Table) choose(e *Explanation, m *model, s service, known *loader.Flow) loader.MemberID {
	if known != nil {
		f := m.show(*known, t.opt.monotonic())
		e.step("the flow table has it: %s for %v, silent for %v", stateName(known.State), f.Age, f.Idle)
		if known.State != loader.FlowClosed {
			e.Known = &f
		}
	}
	switch {
	case e.Known != nil && known.State == loader.FlowKilled:
		e.drop("killed", "it was ended by the operator: its packets are answered by a reset, only a SYN begins anew")
		return 0
	case e.Known != nil:
		return known.Member
	}
	member, second := t.standingAt(s.id, e.RingEntry)
	e.step("a SYN chooses by ring entry %d, %s", e.RingEntry, selection(s))
	if second != 0 && member != 0 {
		var err error
		if member, err = t.lessLoaded(e, m, member, second); err != nil {
			e.drop("internal", "%v", err)
			return 0
		}
	}
	if member == 0 {
		e.drop("no_backend", "nobody is in the ring, because no backend is up: the connection is refused")
	}
	return member
}

// standingAt reads a ring. It keeps the service from being given back
// meanwhile, and the memory of its ring with it.
func (t *Table) standingAt(id loader.ServiceID, entry int) (first, second loader.MemberID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.model.Load().services[id]
	if !ok || s.ring == nil {
		return 0, 0
	}
	if s.record.TwoChoices && s.second != nil {
		second = s.second.Get(entry)
	}
	return s.ring.Get(entry), second
}

// selection tells what the entry of a client goes by.
func selection(s service) string {
	if s.record.ByClient {
		return "which goes by its address alone"
	}
	return "which goes by its address and port"
}

// lessLoaded tells between two choices as the programs do.
func (t *Table) lessLoaded(e *Explanation, m *model, first, second loader.MemberID) (loader.MemberID, error) {
	now, err := readCounters(t.dp)
	if err != nil {
		return 0, err
	}
	load := func(id loader.MemberID) float64 {
		mem := m.members[id]
		return float64(now.flowsNow(id)+1) / float64(max(1, m.weight(mem)))
	}
	name := func(id loader.MemberID) string { return m.backends[m.members[id].record.Addr].name }
	chosen := first
	if load(second) < load(first) {
		chosen = second
	}
	e.step("of its two choices %q with %d flows and %q with %d it takes %q, by weight",
		name(first), now.flowsNow(first), name(second), now.flowsNow(second), name(chosen))
	return chosen, nil
}

// toBackend follows the packet from the member on.
func (t *Table) toBackend(e *Explanation, m *model, id loader.MemberID) error {
	mem, ok := m.members[id]
	if !ok {
		e.drop("internal", "member %d has no record", id)
		return nil
	}
	b := m.backends[mem.record.Addr]
	e.Backend, e.BackendAddr, e.BackendState, e.NextHop = b.name, b.addr, b.state, mem.record.NextHop
	e.step("it goes to backend %q at %v, which is %s", b.name, b.addr, b.state)
	if mem.record.Local {
		e.Verdict = VerdictPass
		e.step("that is this node: the packet is passed up to its listener")
		return nil
	}
	hops, err := t.dp.NextHops()
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	hop := hops[mem.record.NextHop]
	if !hop.Ready {
		e.drop("no_next_hop", "its next hop %d is not resolved: the packet is dropped", mem.record.NextHop)
		return nil
	}
	e.step("its next hop %d is %v by interface %d", mem.record.NextHop, hop.Destination, hop.Interface)
	return nil
}

func modeName(s loader.Service) string {
	for name, m := range modes {
		switch {
		case m != s.Mode:
		case s.Nodes:
			return fmt.Sprintf("sshd, by %s to its nodes", name)
		default:
			return string(name)
		}
	}
	return fmt.Sprintf("mode %d", s.Mode)
}

func stateName(s loader.FlowState) string {
	names := [...]string{
		loader.FlowYoung: "young", loader.FlowEstablished: "established", loader.FlowHalfClosed: "half-closed",
		loader.FlowClosed: "closed", loader.FlowKilled: "killed",
	}
	if int(s) >= len(names) || names[s] == "" {
		return fmt.Sprintf("state %d", s)
	}
	return names[s]
}
