// Package nexthop keeps the loader's next-hop table true: which interface,
// which MAC addresses and which VLAN tag lead to a backend, a router or a
// client on the same network.
//
// XDP sends frames itself and so never confirms the kernel's neighbour
// entries, which would go stale and be forgotten under a working flow. The
// resolver therefore has the kernel keep the neighbours it names resolved, and
// follows every change of neighbours, routes, links and addresses.
package nexthop

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"sluice/loader"
)

// ErrLocal is matched by the error of Acquire for an address of this node. XDP
// sees only what comes in by an interface: a packet to the node itself, and the
// answer to it, would pass it by.
var ErrLocal = errors.New("it is an address of this node, which XDP cannot send to; name another machine")

// Dataplane is the part of the loader that the resolver reads and writes.
type Dataplane interface {
	// Members returns the member records, which name next hops.
	Members() (map[loader.MemberID]loader.Member, error)
	// NextHops returns the entries in use.
	NextHops() (map[loader.NextHopID]loader.NextHop, error)
	// PutNextHop replaces an entry; the zero NextHop frees it.
	PutNextHop(loader.NextHopID, loader.NextHop) error
	// BumpRoutes makes the programs forget which id they used for which flow.
	BumpRoutes() error
}

// Options are what a Resolver may be told. The zero value is ready for use.
type Options struct {
	// Moved is called when an address is reached by another id, or from another
	// source, than before, and for addresses whose Neighbour was asked for also when
	// that changed. The caller writes the new id into every member of that address and
	// returns nil; until then the old id keeps its meaning. On an error the
	// call is repeated within seconds.
	//
	// It runs on Run's goroutine and may call Acquire and Release. It must not
	// run between an Acquire and the writing of the id that Acquire returned:
	// hold one lock over both.
	Moved func(addr netip.Addr, id loader.NextHopID) error
	// Log takes what nobody is there to be told, nil for nothing.
	Log *slog.Logger
}

// Resolver gives ids to next hops and keeps their entries true. Its methods
// may be called from several goroutines at once.
type Resolver struct {
	dp     Dataplane
	kernel kernel
	source source
	moved  func(netip.Addr, loader.NextHopID) error
	log    *slog.Logger
	wants  chan key

	mu         sync.Mutex
	ids        ids
	links      *links
	hops       map[key]*hop
	dests      map[netip.Addr]*dest
	watched    map[netip.Addr]bool // those of dests whose Neighbour was asked for
	neighbours map[key]neighbour
	wanted     wanted
	managed    support
	stale      stale
	bump       bool // the programs are to be told at the end of this pass
}

// support is whether the kernel can keep a neighbour resolved by itself.
type support uint8

const (
	supportUnknown support = iota
	supported
	unsupported // before Linux 5.16
)

// New opens a resolver in the network namespace of the calling thread and
// reads what an earlier life left. Ids found in the table or in a member record
// keep their meaning until Acquire claims them or Settle says that nobody does.
//
// It needs CAP_NET_ADMIN. Close frees what it holds.
func New(dp Dataplane, o Options) (*Resolver, error) {
	k, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	// Subscribed before anything is read, so that no change falls in between.
	s, err := subscribe()
	if err != nil {
		k.close()
		return nil, err
	}
	r, err := newResolver(dp, o, k, s)
	if err != nil {
		k.close()
		s.close()
		return nil, err
	}
	return r, nil
}

func newResolver(dp Dataplane, o Options, k kernel, s source) (*Resolver, error) {
	table, err := dp.NextHops()
	if err != nil {
		return nil, fmt.Errorf("read next hops: %v", err)
	}
	members, err := dp.Members()
	if err != nil {
		return nil, fmt.Errorf("read members: %v", err)
	}
	r := &Resolver{
		dp: dp, kernel: k, source: s, moved: o.Moved, log: o.Log,
		wants: make(chan key, wantQueue),
		links: newLinks(k),
		ids:   newIDs(table, members),
		hops:  make(map[key]*hop),
		dests: make(map[netip.Addr]*dest), watched: make(map[netip.Addr]bool),
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.moved == nil {
		r.moved = func(netip.Addr, loader.NextHopID) error { return nil }
	}
	r.wanted.init()
	if r.neighbours, err = k.neighbours(); err != nil {
		return nil, err
	}
	return r, nil
}

// Close frees the sockets, after Run has returned or where it was never called.
// The table and the kernel's neighbours stay as they are, since the programs go
// on using them.
func (r *Resolver) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.source.close()
	r.kernel.close()
}

// dest is an address somebody acquired.
type dest struct {
	addr netip.Addr
	refs int
	hop  *hop
	// unreachable says why no interface leads there, "" where one does.
	unreachable string
	// source is what packets there bear by the routing table, the zero Addr
	// where that was never known; told is what Moved was told last.
	source, told netip.Addr
	// toldMAC is the neighbour that was told last, where somebody asked for it.
	toldMAC net.HardwareAddr
	// left are hops that members may still name until Moved has returned.
	left []*hop
}

// Acquire returns the id of the next hop towards addr, a backend or router, and
// keeps it true until as many Release calls were made. Addresses behind the
// same neighbour share one id.
//
// After a restart the id that a member record of addr names is kept where it
// still fits, so that living flows never see the entry change. Where it does
// not, the caller writes the one returned into the record.
//
// An address that cannot be reached gets an id too; its entry is not ready and
// Snapshot says why. The error matches ErrLocal where addr is this node's own;
// others mean that addr is no unicast address, or that the table is full or
// cannot be written.
func (r *Resolver) Acquire(addr netip.Addr) (loader.NextHopID, error) {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" {
		return 0, fmt.Errorf("resolve next hop of %q: not an address packets can be sent to", addr)
	}
	if addr.IsLoopback() {
		// Even where lo is down and the routing table knows nothing of it.
		return 0, fmt.Errorf("resolve next hop of %s: %w", addr, ErrLocal)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.dests[addr]; d != nil {
		d.refs++
		return d.hop.id, nil
	}
	to, unreachable, err := r.locate(addr)
	if err != nil {
		return 0, fmt.Errorf("resolve next hop of %s: %w", addr, err)
	}
	h, err := r.hopAt(to.key, r.ids.former[addr])
	if err != nil {
		return 0, fmt.Errorf("resolve next hop of %s: %v", addr, err)
	}
	d := &dest{addr: addr, refs: 1, unreachable: unreachable, source: to.source, told: to.source}
	r.attach(d, h)
	if err := r.update(h); err != nil {
		r.detach(h)
		return 0, fmt.Errorf("resolve next hop of %s: %v", addr, err)
	}
	r.dests[addr] = d
	return h.id, nil
}

// Source returns the address of this node that packets to an acquired addr bear
// by the routing table, the zero Addr where no route was found so far.
func (r *Resolver) Source(addr netip.Addr) netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.dests[addr.Unmap()]; d != nil {
		return d.source
	}
	return netip.Addr{}
}

// Neighbour returns the MAC of an acquired addr itself, nil where a router is
// between or it was never known. From then on Moved is called when that changes,
// too.
func (r *Resolver) Neighbour(addr netip.Addr) net.HardwareAddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dests[addr.Unmap()]
	if d == nil {
		return nil
	}
	mac := d.neighbour()
	if !r.watched[d.addr] {
		r.watched[d.addr], d.toldMAC = true, mac
	}
	return mac
}

// neighbour is the last MAC of d itself.
func (d *dest) neighbour() net.HardwareAddr {
	if d.hop.key.addr != d.addr || len(d.hop.entry.Destination) != macLength {
		return nil
	}
	return bytes.Clone(d.hop.entry.Destination)
}

// Release gives one Acquire of addr back. With the last one the id is free for
// other uses, so no member record may name it any more. Releasing what was not
// acquired does nothing.
func (r *Resolver) Release(addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dests[addr.Unmap()]
	if d == nil {
		return
	}
	if d.refs--; d.refs > 0 {
		return
	}
	delete(r.dests, d.addr)
	delete(r.watched, d.addr)
	for _, h := range append(d.left, d.hop) {
		r.detach(h)
	}
	r.tell()
}

// Settle ends the adoption after a restart: ids that nobody acquired since New
// are freed. Every member that still has flows must have been acquired before,
// those of removed services and backends too.
func (r *Resolver) Settle() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for id := range r.ids.adoptable {
		if err := r.free(id); err != nil {
			errs = append(errs, err)
		}
	}
	r.tell()
	return errors.Join(errs...)
}

// Want asks for a neighbour that a packet was to be sent to and that the kernel
// did not know: a client on the interface's own network, or the router it is
// behind. It returns at once and may be called for every such packet. What is
// not wanted again is forgotten after ten minutes.
func (r *Resolver) Want(addr netip.Addr, ifindex int) {
	addr = addr.Unmap()
	if ifindex <= 0 || !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
		return
	}
	select {
	case r.wants <- key{link: ifindex, addr: addr.WithZone("")}:
	default:
		// The packet's sender will try again; a queue that grows would only
		// help whoever sends packets with invented addresses.
	}
}
