package node

import (
	"context"

	"sluice/internal/control"
	"sluice/internal/node/view"
	"sluice/steering"
)

var (
	_ control.Drainer       = (*node)(nil)
	_ control.Weigher       = (*node)(nil)
	_ control.SettingsStore = (*node)(nil)
)

// Drain implements [control.Drainer].
func (n *node) Drain(ctx context.Context, s control.Selection, o control.DrainOptions) ([]control.BackendChange, error) {
	return n.order(func(t *steering.Table) ([]steering.BackendChange, error) {
		return t.Drain(ctx, view.Selection(s), view.DrainOptions(o))
	})
}

// Disable implements [control.Drainer].
func (n *node) Disable(ctx context.Context, s control.Selection, yes bool) ([]control.BackendChange, error) {
	return n.order(func(t *steering.Table) ([]steering.BackendChange, error) {
		return t.Disable(ctx, view.Selection(s), yes)
	})
}

// Enable implements [control.Drainer].
func (n *node) Enable(ctx context.Context, s control.Selection) ([]control.BackendChange, error) {
	return n.order(func(t *steering.Table) ([]steering.BackendChange, error) {
		return t.Enable(ctx, view.Selection(s))
	})
}

// SetWeight implements [control.Weigher].
func (n *node) SetWeight(ctx context.Context, s control.Selection, weight int, yes bool) ([]control.BackendChange, error) {
	return n.order(func(t *steering.Table) ([]steering.BackendChange, error) {
		return t.SetWeight(ctx, view.Selection(s), weight, yes)
	})
}

// order carries an order out.
func (n *node) order(do func(*steering.Table) ([]steering.BackendChange, error)) ([]control.BackendChange, error) {
	e, err := n.steers()
	if err != nil {
		return nil, err
	}
	changes, err := do(e.Table())
	if err != nil {
		return nil, view.Error(err)
	}
	return view.BackendChanges(changes), nil
}
