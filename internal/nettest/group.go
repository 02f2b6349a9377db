package nettest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
)

// group is the namespaces of a topology, in the order in which they were made.
type group struct {
	name       string // begins the name of each; "" where they have none
	namespaces []*Namespace
}

// make makes a namespace and notes it for Close at once: the next step may fail.
func (g *group) make(label string) (*Namespace, error) {
	name := ""
	if g.name != "" {
		name = g.name + "-" + label
	}
	n, err := New(name)
	if err != nil {
		return nil, err
	}
	g.namespaces = append(g.namespaces, n)
	return n, nil
}

// Namespaces returns all of them, switches first.
func (g *group) Namespaces() []*Namespace { return slices.Clone(g.namespaces) }

// Settled returns when every link that is up carries packets, see
// [Namespace.Settled]. A new topology is settled; one whose link was taken down
// and up again may not be.
func (g *group) Settled(ctx context.Context) error {
	for _, n := range g.namespaces {
		if err := n.Settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the namespaces with all that runs in them, see [Namespace.Close].
func (g *group) Close() error {
	var errs []error
	for _, n := range slices.Backward(g.namespaces) {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// outlet is where a host's cable goes.
type outlet struct {
	in           *Namespace // the switch
	bridge, port string
	mtu          int // 0 for the usual
}

// connect plugs a host into a bridge of a switch.
func connect(n *Namespace, link string, to outlet, addrs []netip.Prefix) error {
	if err := Veth(n, link, to.in, to.port); err != nil {
		return err
	}
	if err := to.in.Plug(to.bridge, to.port); err != nil {
		return err
	}
	if to.mtu != 0 {
		if err := errors.Join(n.SetMTU(link, to.mtu), to.in.SetMTU(to.port, to.mtu)); err != nil {
			return err
		}
	}
	return n.addAddrs(link, addrs)
}
