package nexthop

import (
	"errors"
	"fmt"
)

// keep has the kernel hold h's neighbour resolved. What goes wrong ends up in
// the reason, not in an error: the interface may be down, and the neighbour is
// asked for again when it comes up.
func (r *Resolver) keep(h *hop) error {
	n, there := r.neighbours[h.key]
	if h.key.link == 0 || n.static() || (h.kept && there && (n.managed || r.managed != supported)) {
		return nil
	}
	ask := r.kernel.manage
	if r.managed == unsupported {
		ask = r.kernel.poke
	}
	if err := ask(h.key); err != nil {
		if h.reason != "" {
			h.reason = fmt.Sprintf("%s; asking for it failed: %v", h.reason, err)
		}
		return nil
	}
	h.kept = true
	return r.learnSupport(h.key)
}

// learnSupport looks whether the kernel took note of the first neighbour it was
// to manage. A kernel that does not know the flag ignores it without an error,
// and version numbers say little about kernels of distributions.
func (r *Resolver) learnSupport(k key) error {
	if r.managed != supportUnknown {
		return nil
	}
	all, err := r.kernel.neighbours()
	if err != nil {
		return err
	}
	n, ok := all[k]
	switch {
	case !ok:
		// Gone already, as when the interface went down. The next one will tell.
	case n.managed:
		r.managed = supported
	default:
		r.managed = unsupported
		r.log.Info("the kernel cannot keep neighbours resolved by itself, they are probed from here")
	}
	return nil
}

// letGo ends the keeping of h's neighbour. The entry itself stays, since the
// kernel may be using it for traffic of its own.
func (r *Resolver) letGo(h *hop) {
	kept := h.kept
	h.kept = false
	if n, known := r.neighbours[h.key]; !kept || !known || n.static() || r.managed != supported {
		return
	}
	if err := r.kernel.poke(h.key); err != nil {
		r.log.Debug("let go of neighbour", "addr", h.key.addr, "link", h.key.link, "error", err)
	}
}

// pokeAll stands in for the kernel where it cannot manage neighbours: a stale
// entry that is poked is asked for, and answers or fails within seconds.
func (r *Resolver) pokeAll() {
	if r.managed == supported {
		return
	}
	for _, h := range r.hops {
		if h.key.link == 0 || r.neighbours[h.key].static() {
			continue
		}
		if err := r.kernel.poke(h.key); err != nil {
			r.log.Debug("probe neighbour", "addr", h.key.addr, "link", h.key.link, "error", err)
		}
	}
}

// Unmanage takes the mark off the neighbours that entries of the next-hop table
// lead to, for a stop that leaves nothing behind. Without it the kernel would
// ask for them until it is rebooted. It works on the namespace of the calling
// thread and needs CAP_NET_ADMIN, but no Resolver.
func Unmanage(dp Dataplane) error {
	table, err := dp.NextHops()
	if err != nil {
		return fmt.Errorf("read next hops: %v", err)
	}
	k, err := openRtnetlink()
	if err != nil {
		return err
	}
	defer k.close()
	all, err := k.neighbours()
	if err != nil {
		return err
	}
	ours := make(map[[macLength]byte]bool)
	for _, entry := range table {
		if len(entry.Destination) == macLength {
			ours[[macLength]byte(entry.Destination)] = true
		}
	}
	var errs []error
	for at, n := range all {
		if n.managed && len(n.mac) == macLength && ours[[macLength]byte(n.mac)] {
			if err := k.poke(at); err != nil {
				errs = append(errs, fmt.Errorf("let go of neighbour %s: %v", at.addr, err))
			}
		}
	}
	return errors.Join(errs...)
}
