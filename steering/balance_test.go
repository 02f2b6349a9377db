package steering

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"sluice/internal/config"
	"sluice/internal/nettest"
)

// balanceWeights are those of five members, as unlike as sites have them.
var balanceWeights = []int{1, 2, 3, 4, 6}

// balanceBound is how far the load of any two members, flows in units of weight,
// may be apart after new flows had a choice: a flow less or more on either side,
// and of the lightest member one flow is a whole unit. The hash alone leaves 11
// here.
const balanceBound = 2.5

// TestConnectionsBalance: with select: connections, flows that stay even the
// load of five members out, between real hosts; and when those of two members
// have ended, new ones do it again.
func TestConnectionsBalance(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	s := newStage(t, newKernelWorldOn(t, nettest.GatewayOptions{Backends: len(balanceWeights)}))
	s.applyWeighted(config.SelectConnections, balanceWeights)
	s.verdict(true, 1, 2, 3, 4, 5)

	live := s.stay(nil, 960)
	s.wantEven(live)

	var left []session
	for _, c := range live {
		if c.backend() == s.backend(1) || c.backend() == s.backend(5) {
			c.close()
			continue
		}
		left = append(left, c)
	}
	s.until("the flows of two members have ended", func() bool { return s.flowsNow() == uint64(len(left)) })
	// A quarter of the entries names neither of the two, so it takes more than
	// what ended.
	s.wantEven(s.stay(left, 960))
}

// applyWeighted has backends of these weights, chosen by by.
func (s *stage) applyWeighted(by config.Select, weights []int) {
	s.Helper()
	cfg := with(serving(), choosingBy(by))
	cfg.Listen = s.listen()
	for i, weight := range weights {
		cfg.Backends = append(cfg.Backends, config.Backend{Name: fmt.Sprintf("b%d", i+1), Addr: s.backend(i + 1), Weight: weight})
	}
	if _, err := s.table.Apply(s.Context(), settings(cfg)); err != nil {
		s.Fatal(err)
	}
}

// stay opens n connections beside those that live. The loads are told now and
// then, as each 100 ms in a node; between, the programs count by themselves.
func (s *stage) stay(live []session, n int) []session {
	s.Helper()
	for i := range n {
		if i%30 == 0 {
			if err := s.table.tellLoads(); err != nil {
				s.Fatal(err)
			}
		}
		live = append(live, s.connect(1)...)
	}
	return live
}

// wantEven compares the loads that live connections are.
func (s *stage) wantEven(live []session) {
	s.Helper()
	flows := map[netip.AddrPort]int{}
	for _, c := range live {
		flows[c.backend()]++
	}
	least, most := math.Inf(1), 0.0
	var loads []float64
	for i, weight := range balanceWeights {
		load := float64(flows[s.backend(i+1)]) / float64(weight)
		loads = append(loads, load)
		least, most = min(least, load), max(most, load)
	}
	s.Logf("of %d flows, flows in units of weight: %.2f", len(live), loads)
	if most-least > balanceBound {
		s.Errorf("loads are %.2f apart, want at most %.1f", most-least, balanceBound)
	}
}
