package vip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/vip/auth"
	"sluice/vip/election"
	"sluice/vip/heartbeat"
	"sluice/vip/vrrp"
)

// Status is how a daemon and its clusters are.
type Status struct {
	// Connected says that the node process is there.
	Connected bool
	Clusters  []ClusterStatus // by name
}

// ClusterStatus is one virtual cluster as this gateway sees it.
type ClusterStatus struct {
	Name    string
	VRID    int
	State   string // init, backup, active, fault
	Since   time.Time
	Cause   string
	Reason  string
	Term    uint64
	Base    uint8 // priority of the settings
	Current uint8 // as it is advertised
	Preempt bool
	// Address is this gateway's on the heartbeat link, which decides between equal
	// priorities; not valid without one.
	Address netip.Addr
	// Faults say why this gateway must not serve; nil when it may.
	Faults []string
	// Changes counts by cause.
	Changes map[string]uint64
	VIPs    []VIPStatus
	Peers   []PeerStatus
	LANs    []LANStatus
	Pings   []PingStatus
	Links   []LinkStatus
	Alarms  []AlarmStatus
	// Lost counts packets that found the inbox full.
	Lost uint64
}

// VIPStatus is one address. Owner says that its word is open.
type VIPStatus struct {
	Addr      netip.Prefix
	Interface string
	MAC       string
	Owner     bool
}

// PeerStatus is another gateway by its heartbeat.
type PeerStatus struct {
	Node           string
	Addr           netip.AddrPort
	Known, Alive   bool // ever heard; heard lately
	State          string
	Term           uint64
	Base, Current  uint8
	Healthy        bool
	LinksOK        bool
	PingsOK        bool
	Synced         bool
	HearsUs        bool
	Age            time.Duration
	RoundTrip      time.Duration
	LossIn         float64
	LossOut        float64
	Version        string
	Generation     uint64
	SettingsDiffer bool
}

// LANStatus is VRRP on one interface in one family.
type LANStatus struct {
	Interface  string
	IPv6       bool
	In, Out    uint64
	Mismatch   uint64 // checksums of the other dialect
	Refused    map[string]uint64
	ActiveAddr netip.Addr // not valid when nobody is heard
	Problem    string     // why no adverts go out
}

// PingStatus is a ping item.
type PingStatus struct {
	Interface string
	OK        bool
	Hosts     []PingHost
}

// PingHost is one host of an item.
type PingHost struct {
	Addr  netip.Addr
	OK    bool
	RTT   time.Duration
	Loss  float64
	Flaps uint64
}

// LinkStatus is an interface of VIPs. Problem says what is wrong, "" for nothing.
type LinkStatus struct {
	Interface, Problem string
}

// AlarmStatus is something that somebody should look at.
type AlarmStatus struct {
	Name, Object, Text string
	Since              time.Time
}

// History returns the changes that are kept, the oldest first.
func (d *Daemon) History() []Change { return d.history.all() }

// Status returns how all is now.
func (d *Daemon) Status(ctx context.Context) (Status, error) {
	d.mu.Lock()
	s := Status{Connected: d.connected}
	list := slices.Collect(maps.Values(d.clusters))
	d.mu.Unlock()
	for _, c := range list {
		one, err := ask(ctx, c, func(now time.Duration) ClusterStatus { return c.status(now) })
		if err != nil {
			return s, err
		}
		s.Clusters = append(s.Clusters, one)
	}
	slices.SortFunc(s.Clusters, func(a, b ClusterStatus) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// ask has the loop answer.
func ask[T any](ctx context.Context, c *cluster, f func(now time.Duration) T) (T, error) {
	answer := make(chan T, 1)
	var none T
	select {
	case c.inbox <- func(now time.Duration) { answer <- f(now) }:
	case <-c.ended:
		return none, fmt.Errorf("virtual cluster %q is ending", c.plan.Name)
	case <-ctx.Done():
		return none, fmt.Errorf("ask virtual cluster: %v", ctx.Err())
	}
	select {
	case t := <-answer:
		return t, nil
	case <-c.ended:
		return none, errors.New("virtual cluster is ending")
	case <-ctx.Done():
		return none, fmt.Errorf("ask virtual cluster: %v", ctx.Err())
	}
}

// Order carries an operator's order out for a cluster; see election.Order.
func (d *Daemon) Order(ctx context.Context, name string, o election.Order, hold time.Duration) error {
	d.mu.Lock()
	c := d.clusters[name]
	d.mu.Unlock()
	if c == nil {
		return fmt.Errorf("virtual cluster %q does not run here", name)
	}
	err, asking := ask(ctx, c, func(now time.Duration) error { return c.machine.Order(now, o, hold) })
	return errors.Join(asking, err)
}

// status is called by the loop.
func (c *cluster) status(now time.Duration) ClusterStatus {
	state, since := c.machine.State()
	s := ClusterStatus{
		Name: c.plan.Name, VRID: c.plan.VRID, State: state.String(), Since: wall(now, since),
		Cause: string(c.machine.Reason().Cause), Reason: c.machine.Reason().Text, Term: c.machine.Term(),
		Base: uint8(c.plan.OwnPriority), Current: c.machine.Advertised(), Preempt: c.plan.Preempt, Address: c.plan.Heartbeat.Addr,
		Faults: c.machine.Faults(), Changes: maps.Clone(c.changes), Lost: c.lost.Load(),
		Pings: c.pings.status(), Alarms: c.alarms(now),
	}
	until, open, err := c.words.Open(c.vips)
	open = err == nil && open && (until == 0 || now < until) || state == election.Active && c.words == Owners(noOwners{})
	seen := map[string]bool{}
	for _, v := range c.plan.VIPs {
		mac := ""
		if m := c.plan.MAC(v.IPv6()); m != nil {
			mac = m.String()
		}
		s.VIPs = append(s.VIPs, VIPStatus{Addr: v.Addr, Interface: v.Interface, MAC: mac, Owner: open})
		if !seen[v.Interface] {
			seen[v.Interface] = true
			s.Links = append(s.Links, LinkStatus{Interface: v.Interface, Problem: c.links[v.Interface]})
		}
	}
	for _, l := range c.lans {
		s.LANs = append(s.LANs, l.status(now))
	}
	for _, p := range c.beats.peers {
		s.Peers = append(s.Peers, c.beats.status(p))
	}
	return s
}

// wall is what the wall's clock told at an instant of the monotonic one.
func wall(now, at time.Duration) time.Time { return time.Now().Add(at - now) }

func (l *lan) status(now time.Duration) LANStatus {
	s := LANStatus{
		Interface: l.at.Interface, IPv6: l.at.IPv6, In: l.counts.in, Out: l.counts.out, Mismatch: l.counts.mismatch,
		Refused: map[string]uint64{},
	}
	for r, n := range l.counts.refused {
		if n > 0 {
			s.Refused[vrrp.Refusal(r).String()] = n
		}
	}
	for v, n := range l.counts.unproven {
		if n > 0 {
			s.Refused[auth.Verdict(v).String()] = n
		}
	}
	if addr, heard := l.c.machine.ActiveSource(now, l.index); heard {
		s.ActiveAddr = addr
	}
	if l.problem != nil {
		s.Problem = l.problem.Error()
	}
	return s
}

func (b *beats) status(p *beatPeer) PeerStatus {
	s := PeerStatus{Node: p.node, Addr: p.at}
	link := p.link.Status(time.Now())
	s.Alive, s.Age, s.RoundTrip, s.LossIn, s.LossOut = link.Alive, link.Age, link.RoundTrip, link.LossIn, link.LossOut
	s.HearsUs = link.PeerHears == heartbeat.HearingYes
	m, known := p.link.Last()
	if !known {
		return s
	}
	s.Known, s.State, s.Term, s.Base, s.Current = true, m.State.String(), m.Term, m.BasePriority, m.Priority
	s.Healthy, s.LinksOK = m.Flags.Has(heartbeat.Healthy), m.Flags.Has(heartbeat.LinksOK)
	s.PingsOK, s.Synced = m.Flags.Has(heartbeat.PingsOK), m.Flags.Has(heartbeat.Synced)
	s.Version, s.Generation = m.Program, m.Generation
	s.SettingsDiffer = m.VIPs != b.vips
	return s
}

// recently is for how long a single advert keeps an alarm up.
const recently = 10 * time.Second

// alarms are the election's, and what only shows here.
func (c *cluster) alarms(now time.Duration) []AlarmStatus {
	var list []AlarmStatus
	for _, a := range c.machine.Alarms() {
		object := a.Object
		if a.Name == "segment_split" || a.Name == "not_fresh" || a.Name == "foreign" {
			object = c.lanName(object)
		}
		list = append(list, AlarmStatus{a.Name, object, a.Text, wall(now, a.Since)})
	}
	for _, l := range c.lans {
		if l.problem != nil {
			list = append(list, AlarmStatus{"adverts", l.at.Interface, "no adverts go out: " + l.problem.Error(), time.Now()})
		}
		if l.differs != "" {
			list = append(list, AlarmStatus{"settings_differ", l.at.Interface, l.differs, time.Now()})
		}
		if at := l.counts.strange; at != 0 && now-at < recently {
			list = append(list, AlarmStatus{"adverts_refused", l.at.Interface, "adverts for this virtual router come that are not signed with our key", time.Now()})
		}
		if at := l.counts.dialect; at != 0 && now-at < recently {
			list = append(list, AlarmStatus{"checksum", l.at.Interface, "adverts come with a checksum of the other kind: their sender may refuse ours", time.Now()})
		}
		if l.counts.skewed {
			list = append(list, AlarmStatus{"clock", l.at.Interface, "the clocks of this gateway and of the active one differ by more than the replay window", time.Now()})
		}
	}
	list = append(list, c.beats.clockAlarms()...)
	if c.beats.unproven > 0 {
		list = append(list, AlarmStatus{"heartbeat_refused", "", "heartbeats come that are not signed with our key", time.Now()})
	}
	for _, p := range c.beats.peers {
		if s := c.beats.status(p); s.Alive && s.SettingsDiffer {
			list = append(list, AlarmStatus{"settings_differ", p.node, p.node + " has other VIPs in this virtual cluster", time.Now()})
		}
	}
	if err := c.d.history.err(); err != nil {
		list = append(list, AlarmStatus{"history", "", "changes are not kept: " + err.Error(), time.Now()})
	}
	return list
}

// lanName is the interface of a segment by its number.
func (c *cluster) lanName(number string) string {
	for _, l := range c.lans {
		if fmt.Sprint(l.index) == number {
			return l.at.Interface
		}
	}
	return number
}
