package node

import (
	"errors"
	"reflect"

	"sluice/internal/config"
	"sluice/internal/node/engine"
)

// openDecap begins to take packets out of others, where the settings ask for it;
// where they do not, what an earlier process left to do so is taken away. mu is
// held.
func (n *node) openDecap(s config.Dataplane) error {
	d, err := engine.OpenDecap(n.boot.Pins, s)
	if err != nil {
		return err
	}
	n.decap.Store(d)
	return nil
}

// closeDecap lets go of the program, which goes on by itself. mu is held, or the
// node is at its end.
func (n *node) closeDecap() {
	d := n.decap.Swap(nil)
	if d == nil {
		return
	}
	if err := d.Close(); err != nil {
		n.log.Warn("decapsulation not closed cleanly", "error", err)
	}
}

// changeDecap brings it from one state of the settings to another, or leaves it
// as it was. mu is held.
func (n *node) changeDecap(from, to config.Dataplane) error {
	if reflect.DeepEqual(from.Decap, to.Decap) && from.XDP == to.XDP {
		return nil
	}
	n.closeDecap()
	err := n.openDecap(to)
	if err != nil {
		err = errors.Join(err, n.openDecap(from))
	}
	return err
}
