package steering

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"sluice/loader"
	"sluice/steering/ring"
)

// fakeDataplane is the maps and programs in memory. It outlives the Tables that
// work on it, as pinned maps do, follows handshakes and flows as the programs
// do, and notes whatever would misdirect a packet.
type fakeDataplane struct {
	clock *clock

	mu        sync.Mutex
	services  map[loader.ServiceID]loader.Service
	members   map[loader.MemberID]loader.Member
	published map[netip.AddrPort]loader.ServiceID
	rings     map[loader.ServiceID]*fakeRing
	checks    map[netip.Addr]loader.MemberID
	hops      map[loader.NextHopID]loader.NextHop
	// Counters are never reset, like those of array maps.
	memberCounts  map[loader.MemberID]loader.MemberCounters
	serviceCounts map[loader.ServiceID]loader.ServiceCounters
	flows         map[flowKey]*fakeFlow
	embryos       map[flowKey]*fakeEmbryo
	lifetimes     loader.Lifetimes

	// fault is asked before each call that can fail; the call then did nothing.
	fault func(call string) error
	// meanwhile runs before each call and store, without mu: packets arrive.
	meanwhile func()
	// misdirected is what must never happen.
	misdirected []string

	marksKept time.Duration
	seconds   map[loader.ServiceID]*fakeRing
	loads     map[loader.MemberID]loader.Load
	nodes     loader.Nodes

	events chan loader.Event
	closed chan struct{}
	scans  int
	sets   int
}

type flowKey struct {
	client  netip.AddrPort
	service loader.ServiceID
}

type fakeFlow struct {
	member       loader.MemberID
	backend      netip.AddrPort // where the handshake went
	state        loader.FlowState
	opened, seen time.Duration
	closed       bool // counted
}

type fakeEmbryo struct {
	member  loader.MemberID
	backend netip.AddrPort
	made    time.Duration
}

func newFakeDataplane(c *clock) *fakeDataplane {
	return &fakeDataplane{
		clock:         c,
		services:      map[loader.ServiceID]loader.Service{},
		members:       map[loader.MemberID]loader.Member{},
		published:     map[netip.AddrPort]loader.ServiceID{},
		rings:         map[loader.ServiceID]*fakeRing{},
		seconds:       map[loader.ServiceID]*fakeRing{},
		checks:        map[netip.Addr]loader.MemberID{},
		hops:          map[loader.NextHopID]loader.NextHop{},
		memberCounts:  map[loader.MemberID]loader.MemberCounters{},
		serviceCounts: map[loader.ServiceID]loader.ServiceCounters{},
		flows:         map[flowKey]*fakeFlow{},
		embryos:       map[flowKey]*fakeEmbryo{},
		lifetimes: loader.Lifetimes{
			Embryo: time.Minute, Established: 120 * time.Hour, HalfClosed: 2 * time.Minute, Closed: 10 * time.Second,
		},
		events: make(chan loader.Event, 16),
		closed: make(chan struct{}),
	}
}

// enter begins a call; the caller unlocks mu if it returns nil.
func (d *fakeDataplane) enter(call string, args ...any) error {
	d.mu.Lock()
	fault, meanwhile := d.fault, d.meanwhile
	d.mu.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	if fault != nil {
		if err := fault(fmt.Sprint(append([]any{call, " "}, args...)...)); err != nil {
			return err
		}
	}
	d.mu.Lock()
	return nil
}

// failing replaces fault while loops run.
func (d *fakeDataplane) failing(fault func(call string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

func (d *fakeDataplane) misdirect(format string, args ...any) {
	d.misdirected = append(d.misdirected, fmt.Sprintf(format, args...))
}

func (d *fakeDataplane) Services() (map[loader.ServiceID]loader.Service, error) {
	if err := d.enter("Services"); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return maps.Clone(d.services), nil
}

func (d *fakeDataplane) Members() (map[loader.MemberID]loader.Member, error) {
	if err := d.enter("Members"); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return maps.Clone(d.members), nil
}

func (d *fakeDataplane) PutService(id loader.ServiceID, s loader.Service) error {
	if err := d.enter("PutService", id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	old, exists := d.services[id]
	if exists && (old.Mode != s.Mode || old.Listen != s.Listen) && d.used(func(k flowKey, _ loader.MemberID) bool { return k.service == id }) {
		d.misdirect("service %d became %v while flows live", id, s)
	}
	if id == 0 || id >= loader.MaxServices {
		d.misdirect("service id %d", id)
	}
	if !exists {
		d.rings[id] = &fakeRing{d: d, service: id, Ring: loader.NewRing()}
	}
	d.services[id] = s
	return nil
}

func (d *fakeDataplane) Publish(id loader.ServiceID) error {
	if err := d.enter("Publish", id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	s, ok := d.services[id]
	if !ok {
		d.misdirect("service %d published without a record", id)
	}
	d.published[s.Listen] = id
	return nil
}

func (d *fakeDataplane) Withdraw(id loader.ServiceID) error {
	if err := d.enter("Withdraw", id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	s := d.services[id]
	if d.published[s.Listen] != id {
		return nil
	}
	if d.used(func(k flowKey, _ loader.MemberID) bool { return k.service == id }) {
		d.misdirect("service %d withdrawn while flows live", id)
	}
	delete(d.published, s.Listen)
	return nil
}

func (d *fakeDataplane) Published(id loader.ServiceID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.published[d.services[id].Listen] == id
}

func (d *fakeDataplane) Find(id loader.ServiceID, client netip.AddrPort) (loader.Flow, bool, error) {
	if err := d.enter("Find", id); err != nil {
		return loader.Flow{}, false, err
	}
	defer d.mu.Unlock()
	f, ok := d.flows[flowKey{client, id}]
	if !ok {
		return loader.Flow{}, false, nil
	}
	return loader.Flow{Client: client, Service: id, Member: f.member, State: f.state, Opened: f.opened, Seen: f.seen}, true, nil
}

func (d *fakeDataplane) DeleteService(id loader.ServiceID) error {
	if err := d.enter("DeleteService", id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	for listen, p := range d.published {
		if p == id {
			d.misdirect("service %d deleted while %v leads to it", id, listen)
		}
	}
	if d.used(func(k flowKey, _ loader.MemberID) bool { return k.service == id }) {
		d.misdirect("service %d deleted while flows live", id)
	}
	delete(d.services, id)
	delete(d.rings, id)
	delete(d.seconds, id)
	return nil
}

func (d *fakeDataplane) PutMember(id loader.MemberID, m loader.Member) error {
	if err := d.enter("PutMember", id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	old, exists := d.members[id]
	moves := old.Addr != m.Addr || old.Service != m.Service
	if exists && moves || !exists && d.used(func(_ flowKey, at loader.MemberID) bool { return at == id }) {
		d.misdirect("member %d became %v of %d while flows or entries name it", id, m.Addr, m.Service)
	}
	if _, ok := d.services[m.Service]; !ok || id == 0 || id >= loader.MaxMembers {
		d.misdirect("member %d of service %d, which has no record", id, m.Service)
	}
	if _, ok := d.hops[m.NextHop]; ok == m.Local {
		d.misdirect("member %d names next hop %d, which has no record", id, m.NextHop)
	}
	d.members[id] = m
	return nil
}

func (d *fakeDataplane) DeleteMember(id loader.MemberID) error {
	if err := d.enter("DeleteMember", id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	for service, r := range d.rings {
		if d.published[d.services[service].Listen] == service && r.named()[id] > 0 {
			d.misdirect("member %d deleted while the ring of %d names it", id, service)
		}
	}
	if d.used(func(_ flowKey, at loader.MemberID) bool { return at == id }) {
		d.misdirect("member %d deleted while flows live", id)
	}
	delete(d.members, id)
	return nil
}

// used reports whether a living flow or handshake answers to match.
func (d *fakeDataplane) used(match func(flowKey, loader.MemberID) bool) bool {
	for k, f := range d.flows {
		if f.state < loader.FlowClosed && !d.expired(f) && match(k, f.member) {
			return true
		}
	}
	for k, e := range d.embryos {
		if d.clock.monotonic()-e.made <= d.lifetimes.Embryo && match(k, e.member) {
			return true
		}
	}
	return false
}

func (d *fakeDataplane) Ring(id loader.ServiceID) (Ring, error) {
	if err := d.enter("Ring", id); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	r, ok := d.rings[id]
	if !ok {
		return nil, fmt.Errorf("service %d has no ring", id)
	}
	return r, nil
}

func (d *fakeDataplane) Second(id loader.ServiceID) (Ring, error) {
	if err := d.enter("Second", id); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if d.seconds[id] == nil {
		d.seconds[id] = &fakeRing{d: d, service: id, Ring: loader.NewRing()}
	}
	return d.seconds[id], nil
}

func (d *fakeDataplane) SetLoads(loads map[loader.MemberID]loader.Load) error {
	if err := d.enter("SetLoads"); err != nil {
		return err
	}
	defer d.mu.Unlock()
	d.loads = loads
	return nil
}

func (d *fakeDataplane) SetNodes(n loader.Nodes) error {
	if err := d.enter("SetNodes", len(n.MACs)); err != nil {
		return err
	}
	defer d.mu.Unlock()
	d.nodes = n
	return nil
}

func (d *fakeDataplane) PutCheck(addr netip.Addr, id loader.MemberID) error {
	if err := d.enter("PutCheck", id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if _, ok := d.members[id]; !ok {
		d.misdirect("check %v of member %d, which has no record", addr, id)
	}
	d.checks[addr] = id
	return nil
}

func (d *fakeDataplane) DeleteCheck(addr netip.Addr) error {
	if err := d.enter("DeleteCheck", addr); err != nil {
		return err
	}
	defer d.mu.Unlock()
	delete(d.checks, addr)
	return nil
}

func (d *fakeDataplane) NextHops() (map[loader.NextHopID]loader.NextHop, error) {
	if err := d.enter("NextHops"); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return maps.Clone(d.hops), nil
}

func (d *fakeDataplane) MemberCounters() (map[loader.MemberID]loader.MemberCounters, error) {
	if err := d.enter("MemberCounters"); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	counts := map[loader.MemberID]loader.MemberCounters{}
	for id := range d.members {
		counts[id] = d.memberCounts[id]
	}
	return counts, nil
}

func (d *fakeDataplane) ServiceCounters() (map[loader.ServiceID]loader.ServiceCounters, error) {
	if err := d.enter("ServiceCounters"); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	counts := map[loader.ServiceID]loader.ServiceCounters{}
	for id := range d.services {
		counts[id] = d.serviceCounts[id]
	}
	return counts, nil
}

func (d *fakeDataplane) Scan(ctx context.Context, visit func(loader.Flow) bool) error {
	if err := d.enter("Scan"); err != nil {
		return err
	}
	d.scans++
	var list []loader.Flow
	for k, f := range d.flows {
		list = append(list, loader.Flow{
			Client: k.client, Service: k.service, Member: f.member, State: f.state, Opened: f.opened, Seen: f.seen,
		})
	}
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b loader.Flow) int { return a.Client.Compare(b.Client) })
	for _, f := range list {
		if !visit(f) || ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (d *fakeDataplane) Doubts(context.Context) (map[loader.ServiceID]*loader.Found, error) {
	if err := d.enter("Doubts"); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	found := map[loader.ServiceID]*loader.Found{}
	note := func(k flowKey, m loader.MemberID, marks loader.Marks) {
		at := d.FlowHash(k.client, d.services[k.service])
		if r := d.rings[k.service]; r == nil || !d.services[k.service].Mode.OneWay() {
			return
		} else if r.Get(at) != m {
			marks |= loader.Moved
		}
		if found[k.service] == nil {
			found[k.service] = &loader.Found{}
		}
		found[k.service].Add(at, marks)
	}
	for k, e := range d.embryos {
		if d.clock.monotonic()-e.made <= d.lifetimes.Embryo {
			note(k, e.member, loader.Pending)
		}
	}
	for k, f := range d.flows {
		switch {
		case d.expired(f):
		case f.state == loader.FlowEstablished:
			note(k, f.member, 0)
		default:
			note(k, f.member, loader.Pending)
		}
	}
	return found, nil
}

func (d *fakeDataplane) MarksKept() (time.Duration, error) {
	if err := d.enter("MarksKept"); err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	return d.marksKept, nil
}

func (d *fakeDataplane) KeepMarks() error {
	if err := d.enter("KeepMarks"); err != nil {
		return err
	}
	defer d.mu.Unlock()
	d.marksKept = d.clock.monotonic()
	return nil
}

func (d *fakeDataplane) expired(f *fakeFlow) bool {
	life := map[loader.FlowState]time.Duration{
		loader.FlowYoung: d.lifetimes.Closed, loader.FlowEstablished: d.lifetimes.Established,
		loader.FlowHalfClosed: d.lifetimes.HalfClosed, loader.FlowClosed: d.lifetimes.Closed,
		loader.FlowKilled: d.lifetimes.Closed,
	}
	return d.clock.monotonic()-f.seen > life[f.state]
}

func (d *fakeDataplane) Expire(context.Context) (int, error) {
	if err := d.enter("Expire"); err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	removed := 0
	for k, f := range d.flows {
		if d.expired(f) {
			d.countClosed(f)
			delete(d.flows, k)
			removed++
		}
	}
	return removed, nil
}

func (d *fakeDataplane) countClosed(f *fakeFlow) {
	if f.closed {
		return
	}
	f.closed = true
	c := d.memberCounts[f.member]
	c.FlowsClosed++
	d.memberCounts[f.member] = c
}

func (d *fakeDataplane) Kill(flows []loader.Flow) (int, error) {
	if err := d.enter("Kill"); err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	killed := 0
	for _, f := range flows {
		if known := d.flows[flowKey{f.Client, f.Service}]; known != nil && known.state != loader.FlowKilled && known.opened == f.Opened {
			known.state = loader.FlowKilled
			d.countClosed(known)
			killed++
		}
	}
	return killed, nil
}

func (d *fakeDataplane) SetFlowEvents(bool) error { return nil }

func (d *fakeDataplane) ReadEvent() (loader.Event, error) {
	select {
	case e := <-d.events:
		return e, nil
	case <-d.closed:
		return loader.Event{}, os.ErrClosed
	}
}

// Trace is what only programs can tell.
func (d *fakeDataplane) Trace(loader.Probe) (loader.Trace, error) { return loader.Trace{}, nil }

func (d *fakeDataplane) FlowHash(client netip.AddrPort, s loader.Service) int {
	h := fnv.New64a()
	fmt.Fprint(h, client, s.Listen)
	return int(h.Sum64() % ring.Entries)
}

// fakeRing checks each store before it happens.
type fakeRing struct {
	d       *fakeDataplane
	service loader.ServiceID
	*loader.Ring
}

func (r *fakeRing) Set(entry int, m loader.MemberID) {
	if r.d.meanwhile != nil && entry%4096 == 0 {
		r.d.meanwhile()
	}
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if record, ok := r.d.members[m]; m != 0 && (!ok || record.Service != r.service) {
		r.d.misdirect("ring of %d names member %d, which is %+v", r.service, m, record)
	}
	r.d.sets++
	r.Ring.Set(entry, m)
}

// named returns the members in the ring.
func (r *fakeRing) named() map[loader.MemberID]int {
	found := map[loader.MemberID]int{}
	last, run := r.Get(0), 0
	for i := range ring.Entries {
		if m := r.Get(i); m != last {
			found[last] += run
			last, run = m, 0
		}
		run++
	}
	found[last] += run
	return found
}

var errInjected = errors.New("injected fault")
