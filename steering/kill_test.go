package steering

import (
	"net/netip"
	"testing"
	"time"

	"sluice/loader"
)

func TestKill(t *testing.T) {
	r, c := crowd(t)
	for _, tt := range []struct {
		q    Query
		want int
	}{
		{Query{Client: netip.PrefixFrom(c[2].Addr(), 32)}, 1},
		{Query{Client: netip.PrefixFrom(c[2].Addr(), 32)}, 0}, // it is dead
		{Query{Service: "two"}, 2},                            // the third has ended by itself
		{Query{}, 2},
	} {
		r.clock.advance(time.Second)
		n, err := r.table.Kill(t.Context(), tt.q)
		if err != nil || n != tt.want {
			t.Errorf("%+v: killed %d, %v; want %d", tt.q, n, err, tt.want)
		}
	}
	r.clock.advance(time.Minute)
	page, err := r.table.Flows(t.Context(), Query{State: loader.FlowEstablished, Limit: 1})
	if err != nil || page.Total != 0 {
		t.Errorf("%d flows are still established, %v", page.Total, err)
	}
}
