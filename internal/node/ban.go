package node

import (
	"context"
	"net/netip"
	"time"

	"sluice/internal/control"
	"sluice/internal/node/view"
	"sluice/steering"
)

var _ control.Guardian = (*node)(nil)

// Bans implements [control.Guardian].
func (n *node) Bans(context.Context) (control.BanList, error) {
	e, err := n.steers()
	if err != nil {
		return control.BanList{}, err
	}
	bans, err := e.Guard().Bans()
	if err != nil {
		return control.BanList{}, err
	}
	denied, err := e.Guard().Denied()
	if err != nil {
		return control.BanList{}, err
	}
	exempt, err := e.Guard().Exempt()
	return view.Bans(bans, denied, exempt), err
}

// Ban implements [control.Guardian]. The ban comes before the kill, or what was
// killed could come back in between.
func (n *node) Ban(ctx context.Context, p netip.Prefix, q control.BanRequest) (control.BanResult, error) {
	e, err := n.steers()
	if err != nil {
		return control.BanResult{}, err
	}
	b, err := e.Guard().Ban(p, time.Duration(q.For), q.Reason)
	if err != nil {
		return control.BanResult{}, view.GuardError(err)
	}
	result := control.BanResult{Ban: view.Ban(b)}
	if q.Kill {
		result.FlowsKilled, err = e.Table().Kill(ctx, steering.Query{Client: p})
	}
	return result, err
}

// Unban implements [control.Guardian].
func (n *node) Unban(_ context.Context, p netip.Prefix) (bool, error) {
	e, err := n.steers()
	if err != nil {
		return false, err
	}
	return e.Guard().Unban(p)
}
