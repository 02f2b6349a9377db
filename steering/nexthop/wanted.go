package nexthop

import (
	"container/list"
	"time"
)

// Bounds on what Want may cost. Packets ask for neighbours, and whoever is on
// the network can send packets with any source address of it.
const (
	// maxWanted is how many neighbours are kept; the one not wanted for longest
	// goes first.
	maxWanted = 1024
	// maxPending is how many may wait for an answer at a time. The kernel's own
	// table holds 1 024 by default, and one that is full of addresses nobody has
	// would cut off the rest of the node.
	maxPending = 128
	// wantedFor is how long after the last Want a neighbour is kept. Packets of
	// a known neighbour ask for nothing, so being in use cannot be seen.
	wantedFor = 10 * time.Minute
	// wantQueue is how many requests may wait for Run.
	wantQueue = 256
)

// wanted are the neighbours that packets asked for, the latest first.
type wanted struct {
	order *list.List // of *want
	at    map[key]*list.Element
}

type want struct {
	hop   *hop
	asked time.Time
}

func (w *wanted) init() {
	w.order = list.New()
	w.at = make(map[key]*list.Element)
}

// pending counts those that did not answer yet.
func (w *wanted) pending() int {
	count := 0
	for e := w.order.Front(); e != nil; e = e.Next() {
		if !e.Value.(*want).hop.entry.Ready {
			count++
		}
	}
	return count
}

// admit makes k wanted or renews it.
func (r *Resolver) admit(k key) {
	if e := r.wanted.at[k]; e != nil {
		e.Value.(*want).asked = time.Now()
		r.wanted.order.MoveToFront(e)
		return
	}
	if r.wanted.pending() >= maxPending {
		return
	}
	if _, err := descend(r.links, k.link); err != nil {
		r.log.Debug("resolve client", "addr", k.addr, "link", k.link, "error", err)
		return
	}
	h, err := r.hopAt(k, 0)
	if err != nil {
		r.log.Warn("resolve client", "addr", k.addr, "link", k.link, "error", err)
		return
	}
	h.users++
	r.wanted.at[k] = r.wanted.order.PushFront(&want{hop: h, asked: time.Now()})
	if err := r.update(h); err != nil {
		r.log.Warn("resolve client", "addr", k.addr, "link", k.link, "error", err)
		r.unwant(k)
		return
	}
	if r.wanted.order.Len() > maxWanted {
		r.unwant(r.wanted.order.Back().Value.(*want).hop.key)
	}
}

// unwant forgets that k was wanted.
func (r *Resolver) unwant(k key) {
	e := r.wanted.at[k]
	if e == nil {
		return
	}
	delete(r.wanted.at, k)
	r.detach(r.wanted.order.Remove(e).(*want).hop)
}

// expire forgets what was not wanted for wantedFor.
func (r *Resolver) expire(now time.Time) {
	for {
		e := r.wanted.order.Back()
		if e == nil || now.Sub(e.Value.(*want).asked) < wantedFor {
			return
		}
		r.unwant(e.Value.(*want).hop.key)
	}
}
