package vip

import (
	"fmt"
	"net/netip"
	"time"

	"sluice/vip/auth"
	"sluice/vip/election"
	"sluice/vip/heartbeat"
	"sluice/vip/segment"
)

// beats is the cluster's part in the heartbeat link.
type beats struct {
	c       *cluster
	keys    *auth.Keys
	signer  *auth.Signer
	clocks  *auth.Witnesses
	boot    heartbeat.Boot
	own     netip.Addr
	vips    heartbeat.VIPHash
	hub     *hub // nil without peers
	peers   []*beatPeer
	problem error

	in, out uint64
	// unproven counts recent ones in a row that no key of ours made.
	unproven int
	refused  map[string]uint64
	logged   map[string]time.Duration
}

type beatPeer struct {
	at   netip.AddrPort
	node string
	link *heartbeat.Link
}

func newBeats(c *cluster) (*beats, error) {
	b := &beats{c: c, boot: heartbeat.NewBoot(), refused: map[string]uint64{}, logged: map[string]time.Duration{}}
	p := c.plan
	b.setVIPs(p)
	if !p.Heartbeat.Enabled() {
		return b, nil
	}
	b.own = p.Heartbeat.Addr
	for _, peer := range p.Peers {
		b.peers = append(b.peers, &beatPeer{
			at: netip.AddrPortFrom(peer.Heartbeat, uint16(p.Heartbeat.Port)), node: peer.Node,
			link: heartbeat.NewLink(b.boot, p.Heartbeat.Timeout),
		})
	}
	if len(b.peers) == 0 {
		return b, nil
	}
	key, err := auth.NewKey(p.HeartbeatKey.reveal())
	if err != nil {
		return nil, fmt.Errorf("heartbeat: %v", err)
	}
	if b.keys, err = auth.NewKeys(1, map[uint8]auth.Key{1: key}); err != nil {
		return nil, fmt.Errorf("heartbeat: %v", err)
	}
	b.signer = auth.NewSigner(b.keys, c.d.clock)
	b.clocks = auth.NewWitnesses(c.d.clock, auth.DefaultWindow(p.AdvertInterval))
	return b, nil
}

func (b *beats) setVIPs(p Cluster) {
	var list []string
	for _, v := range p.VIPs {
		list = append(list, v.Addr.String()+" "+v.Interface)
	}
	b.vips = heartbeat.HashVIPs(list)
}

// open joins the socket; what fails is tried again by repair.
func (b *beats) open() {
	if len(b.peers) == 0 {
		return
	}
	h := b.c.plan.Heartbeat
	var err error
	b.hub, err = b.c.d.hubs.join(hubKey{h.Interface, netip.AddrPortFrom(h.Addr, uint16(h.Port))}, b)
	b.tell(err)
}

// tell logs a problem once.
func (b *beats) tell(err error) {
	if err != nil && b.problem == nil {
		b.c.log.Error("no heartbeat, trying again", "error", err)
	}
	b.problem = err
}

func (b *beats) close() {
	if b.hub == nil {
		return
	}
	if err := b.c.d.hubs.leave(b.hub, b); err != nil {
		b.c.log.Warn("heartbeat link not closed cleanly", "error", err)
	}
	b.hub = nil
}

func (b *beats) repair() {
	if b.hub != nil {
		b.tell(b.hub.repair())
	}
}

// send tells every peer how this gateway is.
func (b *beats) send() {
	if b.hub == nil {
		return
	}
	for i, p := range b.peers {
		m := b.message(b.c.machine.Beacon(i))
		spoken := p.link.Stamp(&m, time.Now())
		text, err := heartbeat.Append(nil, &m, spoken, heartbeat.Path{Source: b.own, Destination: p.at.Addr()}, b.signer)
		if err == nil {
			err = b.hub.send(p.at, text)
		}
		if err != nil {
			if b.problem == nil {
				b.c.log.Warn("heartbeat not sent", "peer", p.node, "error", err)
			}
			b.problem = err
			continue
		}
		b.problem = nil
		b.out++
	}
}

// message is the election's beacon in the heartbeat's words.
func (b *beats) message(h election.Heartbeat) heartbeat.Message {
	m := heartbeat.Message{
		Cluster: b.c.plan.Name, Node: b.c.node, Term: h.Term, State: beatStates[h.State],
		BasePriority: h.Priority, Priority: b.c.machine.Advertised(), Claim: h.Claim, Grant: h.Grant,
		Open:       b.c.machine.Remaining(b.c.d.Now()),
		Generation: b.c.generation, VIPs: b.vips, Program: b.c.program[:min(len(b.c.program), heartbeat.MaxProgram)],
	}
	for flag, set := range map[heartbeat.Flags]bool{
		heartbeat.Healthy: h.Healthy, heartbeat.LinksOK: h.LinksOK, heartbeat.PingsOK: h.PingsOK, heartbeat.Synced: h.Synced,
		heartbeat.Ordered: h.Ordered, heartbeat.Resign: h.Resigned,
	} {
		if set {
			m.Flags |= flag
		}
	}
	m.Pings = b.c.pings.results()
	return m
}

// receive is called by the link's goroutine.
func (b *beats) receive(d segment.Datagram) {
	b.c.packet(func(now time.Duration) { b.judge(now, d) })
}

// judge lets a heartbeat pass to the election, or counts why not.
func (b *beats) judge(now time.Duration, d segment.Datagram) {
	for i, p := range b.peers {
		if p.at != d.Peer {
			continue
		}
		m, refusal := heartbeat.Parse(d.Payload, heartbeat.Path{Source: p.at.Addr(), Destination: b.own}, b.c.plan.Name, b.keys)
		if refusal == heartbeat.OtherCluster {
			return // another one's, which shares the socket
		}
		if refusal != heartbeat.Accepted {
			if refusal == heartbeat.UnsupportedVersion {
				p.link.LearnVersions(m.Versions)
			}
			if refusal == heartbeat.BadMAC || refusal == heartbeat.UnknownKey {
				b.unproven++
			}
			b.refuse(now, p, refusal.String(), refusal.Advice())
			return
		}
		b.unproven = 0
		if m.Node != p.node {
			b.refuse(now, p, "other_node", fmt.Sprintf("it says that it is %q: give each node its own heartbeat address", m.Node))
			return
		}
		if f := p.link.Receive(&m, time.Now()); !f.IsState() {
			b.refused[f.String()]++
			return
		}
		b.in++
		b.witness(p, &m, heartbeat.Clock(d.Payload))
		b.c.machine.Heartbeat(now, i, b.told(p, &m))
		return
	}
}

func (b *beats) refuse(now time.Duration, p *beatPeer, reason, advice string) {
	b.refused[reason]++
	if at, ok := b.logged[reason]; ok && now-at < 30*time.Second {
		return
	}
	b.logged[reason] = now
	b.c.log.Warn("heartbeat not taken", "peer", p.node, "reason", reason, "advice", advice)
}

// told is a message in the election's words.
func (b *beats) told(p *beatPeer, m *heartbeat.Message) election.Heartbeat {
	h := election.Heartbeat{
		Term: m.Term, Priority: m.BasePriority, Claim: m.Claim, Grant: m.Grant, Remaining: m.Open,
		Healthy: m.Flags.Has(heartbeat.Healthy), LinksOK: m.Flags.Has(heartbeat.LinksOK), PingsOK: m.Flags.Has(heartbeat.PingsOK),
		Synced: m.Flags.Has(heartbeat.Synced), Ordered: m.Flags.Has(heartbeat.Ordered), Resigned: m.Flags.Has(heartbeat.Resign),
		HearsUs: p.link.Status(time.Now()).PeerHears == heartbeat.HearingYes,
	}
	for state, told := range beatStates {
		if told == m.State {
			h.State = state
		}
	}
	return h
}
