package nettest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// CableOut pulls the cable of one of the gateway's interfaces: it loses its
// carrier. The kernel may take up to a second to say so to programs, as with any
// card. The heartbeat cable of two gateways has no carrier at the other end
// either.
func (g *ClusterGateway) CableOut(link string) error {
	p, err := g.port(link)
	if err != nil {
		return err
	}
	if link == HeartbeatLink && g.peer != nil {
		return errors.Join(p.pull(g), g.peer.pull(g))
	}
	return p.pull(g)
}

// SilentLoss has the switch lose what the gateway sends by an interface, or is
// sent, or both, with the carrier kept. A second call replaces the first.
func (g *ClusterGateway) SilentLoss(link string, way Direction) error {
	p, err := g.port(link)
	if err != nil {
		return err
	}
	return p.lose(way)
}

// PowerOff ends the gateway as a power failure does: from one moment on nothing
// it sends arrives, all its processes are killed, and every link loses its
// carrier. What it holds in the kernel is cleared by Restore; programs pinned on
// the host's file system are the caller's to remove.
func (g *ClusterGateway) PowerOff() error {
	// Silence comes first, and is quick: a killed process closes its sockets,
	// and the other side must not be told.
	for _, p := range g.ports {
		if err := p.lose(BothWays); err != nil {
			return fmt.Errorf("power off %s: %v", g.Label, err)
		}
	}
	g.off = true
	if err := killAll(g.id); err != nil {
		return fmt.Errorf("power off %s: %v", g.Label, err)
	}
	for _, link := range slices.Sorted(maps.Keys(g.ports)) {
		if err := g.CableOut(link); err != nil {
			return fmt.Errorf("power off %s: %v", g.Label, err)
		}
	}
	return nil
}

// Restore undoes every fault of this gateway: cables are back, nothing is lost,
// what was stopped goes on. After PowerOff the gateway is as new: what programs
// had added to it is gone, and nothing runs.
func (g *ClusterGateway) Restore() error {
	var errs []error
	if g.off {
		errs = append(errs, g.clear())
	}
	for _, p := range g.ports {
		errs = append(errs, p.lose(0), p.plug(g))
	}
	if g.peer != nil {
		errs = append(errs, g.peer.plug(g))
	}
	errs = append(errs, g.Continue())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restore %s: %v", g.Label, err)
	}
	g.off = false
	return nil
}

// Off says whether the gateway is powered off.
func (g *ClusterGateway) Off() bool { return g.off }

func (g *ClusterGateway) port(link string) (*port, error) {
	p, ok := g.ports[link]
	if !ok {
		return nil, fmt.Errorf("break %q of %s: it has %v", link, g.Label, slices.Sorted(maps.Keys(g.ports)))
	}
	return p, nil
}
