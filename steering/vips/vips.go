// Package vips sees to what the kernel must know of VIPs whose connections end
// on several nodes: that their packets end here, that nobody is told so but by
// the node that has the VIP, and whether that is this one.
//
// A node has a VIP while an interface that is up, other than lo, has its
// address. It alone spreads connections. All nodes that terminate some have a
// local route for the VIP, with or without the address: whoever loses the
// address keeps its connections.
package vips

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Dataplane is the part of the loader that is told who has a VIP.
type Dataplane interface {
	// SetOwner opens or closes the owner word of a VIP with a service.
	SetOwner(vip netip.Addr, open bool) error
	// SetElected says about which VIPs an election decides: it writes their
	// words, which are closed at first, and SetOwner refuses them.
	SetElected(vips []netip.Addr) error
}

// VIP is what the settings make of one address.
type VIP struct {
	Addr netip.Addr
	// Spread says that connections to it end on several nodes, so that only the
	// one that has it may spread them. Else this node has it whatever the
	// interfaces say.
	Spread bool
	// Ends says that connections to it end on this node, too.
	Ends bool
	// Elected says that an election decides who has it, so that this package
	// leaves its owner word alone. It may be an address without a service.
	Elected bool
}

// elected are the addresses of lists that an election decides about.
func elected(lists ...[]VIP) (addrs []netip.Addr) {
	for _, v := range slices.Concat(lists...) {
		if v.Elected && !slices.Contains(addrs, v.Addr) {
			addrs = append(addrs, v.Addr)
		}
	}
	return addrs
}

// kernel is what is asked of the machine.
type kernel interface {
	// held returns the addresses of all interfaces that are up, without lo.
	held() (map[netip.Addr]bool, error)
	// routes returns the VIPs that have a local route of ours.
	routes() ([]netip.Addr, error)
	addRoute(netip.Addr) error
	deleteRoute(netip.Addr) error
	// silence keeps an interface from answering ARP for addresses that are not
	// its own, and from asking with them.
	silence(link string) error
}

// Keeper keeps it so. Its methods may be called from several goroutines.
type Keeper struct {
	dp     Dataplane
	kernel kernel
	log    *slog.Logger

	mu   sync.Mutex
	vips []VIP
	// held is who was told last, so that the log tells changes only.
	held map[netip.Addr]bool
}

// New returns a keeper for the network namespace of the calling thread, which
// must be that of Run's. log nil discards.
func New(dp Dataplane, log *slog.Logger) *Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{dp: dp, kernel: rtnetlink{}, log: log, held: map[netip.Addr]bool{}}
}

// Prepare makes packets for new VIPs end here before any is sent, and closes the
// words of those that an election is to decide about. links are the
// interfaces by which they may come. What is not needed any more stays until
// Settle; the error says what the machine lacks.
func (k *Keeper) Prepare(list []VIP, links []string) error {
	k.mu.Lock()
	err := k.dp.SetElected(elected(list, k.vips))
	k.mu.Unlock()
	if err != nil {
		return err
	}
	have, err := k.kernel.routes()
	if err != nil {
		return err
	}
	quiet := false
	for _, v := range list {
		if !v.Ends {
			continue
		}
		// Silence first: with the route alone this node would answer ARP.
		if v.Addr.Is4() && !quiet {
			quiet = true
			for _, link := range links {
				if err := k.kernel.silence(link); err != nil {
					return err
				}
			}
		}
		if slices.Contains(have, v.Addr) {
			continue
		}
		if err := k.kernel.addRoute(v.Addr); err != nil {
			return fmt.Errorf("make packets for VIP %s end here: %v", v.Addr, err)
		}
	}
	return nil
}

// Settle takes over that the services of the VIPs are in force: it opens and
// closes owner words and drops routes that are not needed. What fails is tried
// again by Run.
func (k *Keeper) Settle(list []VIP) {
	k.mu.Lock()
	k.vips = slices.Clone(list)
	k.mu.Unlock()
	if err := k.refresh(); err != nil {
		k.log.Error("VIPs not settled", "error", err)
	}
}

// refresh compares what is with what should be.
func (k *Keeper) refresh() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	held, err := k.kernel.held()
	if err != nil {
		return err
	}
	if err := k.dp.SetElected(elected(k.vips)); err != nil {
		return err
	}
	for _, v := range k.vips {
		if v.Elected {
			continue
		}
		has := !v.Spread || held[v.Addr]
		if err := k.dp.SetOwner(v.Addr, has); err != nil {
			return err
		}
		if was, told := k.held[v.Addr]; v.Spread && (!told || was != has) {
			k.held[v.Addr] = has
			k.log.Info("VIP", "addr", v.Addr, "has", has)
		}
	}
	return k.sweep()
}

// sweep drops routes of ours that no VIP needs, whoever made them. mu is held.
func (k *Keeper) sweep() error {
	routes, err := k.kernel.routes()
	if err != nil {
		return err
	}
	for _, addr := range routes {
		if slices.ContainsFunc(k.vips, func(v VIP) bool { return v.Addr == addr && v.Ends }) {
			continue
		}
		if err := k.kernel.deleteRoute(addr); err != nil {
			return err
		}
	}
	return nil
}

// retryPeriod is how soon what failed is tried again. It is also how often is
// looked after all, should the kernel have told of a change in vain.
const retryPeriod = 10 * time.Second

// Run follows the addresses of this node until ctx is done, which is no error.
func (k *Keeper) Run(ctx context.Context) error {
	changed, stop, err := watch()
	if err != nil {
		return err
	}
	defer stop()
	retry := time.NewTicker(retryPeriod)
	defer retry.Stop()
	for {
		// Also at the start: something may have changed before the watch began.
		if err := k.refresh(); err != nil {
			k.log.Error("VIPs not followed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry.C:
		}
	}
}

// Remove drops every route of ours from the network namespace of the calling
// thread. That there is none is no error.
func Remove() error {
	k := Keeper{kernel: rtnetlink{}}
	return k.sweep()
}
