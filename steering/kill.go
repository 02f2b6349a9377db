package steering

import (
	"context"
	"fmt"

	"sluice/loader"
)

// Kill ends the living flows that match a query, whose page and order mean
// nothing here, and returns how many it found: their next packet, of either
// side, is answered by a reset. The error is ctx's, or says what failed.
func (t *Table) Kill(ctx context.Context, q Query) (int, error) {
	// Not an index that is a second old: who is banned may have come since.
	x, err := t.sweep(ctx, 0)
	if err != nil {
		return 0, err
	}
	matching, err := x.match(ctx, newFilter(t.model.Load(), q))
	if err != nil {
		return 0, err
	}
	flows := make([]loader.Flow, 0, len(matching))
	for _, i := range matching {
		if e := x.entryAt(i); e.state < loader.FlowClosed {
			flows = append(flows, e.flow())
		}
	}
	killed, err := t.dp.Kill(flows)
	if err != nil {
		return killed, fmt.Errorf("end %d flows: %w", len(flows), err)
	}
	if killed > 0 {
		t.log.Info("flows ended by an operator", "flows", killed)
		t.poke() // to see that none is left
	}
	return killed, nil
}
