// Package flowsync tells the other gateways of a virtual cluster which flows
// there are, so that connections go on when one of them is lost.
//
// A gateway sends the flows of the clusters it is active for to each other
// gateway of them, by one sealed TCP connection per direction: a snapshot first,
// then what changes. The receiver imports what the highest term it knows says,
// and nothing of clusters it is active for itself. Whatever breaks is mended by
// a new connection and a new snapshot; nothing is ever resumed.
//
// The flow table, the sockets and the election are passed in. Waiting for one
// peer holds up neither the others nor who tells of changes.
package flowsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// Key and Flow are what the table is asked for and told.
type (
	Key  = wire.Key
	Flow = wire.Flow
)

// Peer is another gateway.
type Peer struct {
	// Name is the node's in the settings; both ends must agree on it.
	Name string
	// Addr is where connections of this peer come from: its heartbeat address. No
	// two peers have the same.
	Addr netip.Addr
	// Dial connects to it, from this node's heartbeat address.
	Dial func(context.Context) (net.Conn, error)
}

// Listen opens a listener; it is called again after it or its Accept failed.
type Listen func(context.Context) (net.Listener, error)

// Cluster is a virtual cluster as the election sees it.
type Cluster struct {
	Name string
	// Active says that this gateway has the VIPs.
	Active bool
	// Term grows with each take-over; it is that of this gateway's own while it is
	// active, else the highest it heard of.
	Term uint64
	VIPs []netip.Addr
	// Gateways are the names of the others of the cluster.
	Gateways []string
}

// Options say how to synchronise. Zero values stand for what is written there.
type Options struct {
	// Self is this node's name.
	Self string
	// Key is derived from the cluster key, for flow sync alone.
	Key    [seal.KeySize]byte
	Peers  []Peer
	Listen []Listen
	Table  Table
	// Notify is told what happens. It must not block or call the Sync. May be nil.
	Notify func(Event)
	Log    *slog.Logger // slog.Default()

	// Refresh is how long a pass over the table is put off after the last one: it
	// tells the ages of flows that moved, so that no copy expires first. An eighth
	// of the shortest lifetime of an idle flow is enough. 15 min.
	Refresh time.Duration
	// SnapshotRate and RefreshRate bound how many flows a second are read for a
	// peer: 500 000 and 5 000.
	SnapshotRate, RefreshRate int
	// MaxChanges bounds the changed flows that wait for a peer, 131 072. One for
	// which there are more gets a new snapshot instead.
	MaxChanges int
	// MaxFlows bounds the flows that a peer may name in a snapshot, 8 388 608.
	MaxFlows int
}

const (
	flushEach = 20 * time.Millisecond
	aliveEach = 100 * time.Millisecond
	// dead is for how long an end waits for the other.
	dead = 5 * time.Second
	// syncedLag is up to which lag a copy counts as synced.
	syncedLag = time.Second
)

// Sync keeps the tables of gateways alike. Its methods may be called from many
// goroutines at once.
type Sync struct {
	opt   Options
	roles roles
	peers []*peer

	mu       sync.Mutex
	inbound  map[string]*inbound // by name of peer
	halfOpen []*halfOpen
	errors   map[int]string       // why a listener is not there
	refusals map[string]time.Time // when one of a peer's name was last told
}

// New makes a Sync. Other peers or another key need a new one.
func New(o Options) (*Sync, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("set up flow sync: %w", err)
	}
	o.defaults()
	s := &Sync{opt: o, inbound: map[string]*inbound{}, errors: map[int]string{}}
	s.roles.init()
	for _, p := range o.Peers {
		s.peers = append(s.peers, newPeer(s, p))
	}
	return s, nil
}

func (o *Options) check() error {
	if o.Self == "" || o.Table == nil {
		return errors.New("it needs the name of this node and a flow table")
	}
	if o.Key == [seal.KeySize]byte{} {
		return errors.New("there is no key: gateways share a cluster key")
	}
	names, addrs := map[string]bool{o.Self: true}, map[netip.Addr]bool{}
	for _, p := range o.Peers {
		switch {
		case p.Name == "" || names[p.Name]:
			return fmt.Errorf("gateway %q is named twice, or has no name", p.Name)
		case !p.Addr.IsValid() || addrs[p.Addr.Unmap()]:
			return fmt.Errorf("gateway %q has no heartbeat address of its own: %s", p.Name, p.Addr)
		case p.Dial == nil:
			return fmt.Errorf("gateway %q cannot be dialled", p.Name)
		}
		names[p.Name], addrs[p.Addr.Unmap()] = true, true
	}
	return nil
}

func (o *Options) defaults() {
	set := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	set(&o.SnapshotRate, 500_000)
	set(&o.RefreshRate, 5_000)
	set(&o.MaxChanges, 1<<17)
	set(&o.MaxFlows, 1<<23)
	if o.Refresh <= 0 {
		o.Refresh = 15 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Run synchronises until ctx ends.
func (s *Sync) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range s.peers {
		wg.Go(func() { p.run(ctx) })
	}
	for i, listen := range s.opt.Listen {
		wg.Go(func() { s.listen(ctx, i, listen) })
	}
	wg.Go(func() { s.watch(ctx) })
	wg.Wait()
}

// SetClusters says what the election decided. When it returns, nothing more is
// imported for clusters that this gateway is active for, nor of older terms. An
// error says what is wrong with the list; then the former one holds.
func (s *Sync) SetClusters(list []Cluster) error {
	if err := s.roles.set(list, s.copied); err != nil {
		return fmt.Errorf("take over clusters for flow sync: %w", err)
	}
	s.reviewInbound()
	return nil
}

// Changed says that flows were established, closed, revived, or changed
// otherwise, after they did. It does not block.
func (s *Sync) Changed(keys ...Key) {
	v := s.roles.view.Load()
	for _, key := range keys {
		c := v.byVIP[key.Service.Addr()]
		if c == nil || !c.Active {
			continue
		}
		for _, p := range s.peers {
			p.changed(c.Name, key)
		}
	}
}

// Lost says that changes were lost, so that nobody knows which flows changed:
// every peer gets a new snapshot. It does not block.
func (s *Sync) Lost() {
	for _, p := range s.peers {
		p.resync("changes of flows were lost here")
	}
}

// SettingsChanged says that the table may know other services and backends now:
// peers that sent flows of ones it did not know are asked to send again.
func (s *Sync) SettingsChanged() {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	for _, in := range s.connections() {
		in.askSkipped()
	}
}

// connections are those that peers tell their flows by. mu of the roles may be
// held.
func (s *Sync) connections() []*inbound {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.inbound))
}
