package steering

import (
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/loader"
	"sluice/steering/ring"
)

func choosingBy(by config.Select) func(*config.Service) {
	return func(s *config.Service) { s.Select = by }
}

// The way to choose is told to the dataplane, and can change under living flows.
func TestSelectIsTold(t *testing.T) {
	for _, mode := range []func(*config.Service){func(*config.Service) {}, dsr} {
		r := newRig(t)
		apply := func(by config.Select) loader.Service {
			r.apply(with(with(serving("b1", "b2"), mode), choosingBy(by)))
			r.allUp()
			return r.dp.services[1]
		}
		apply(config.SelectHash)
		client, backend := r.flow(vip)
		r.quiet()
		if s := apply(config.SelectClient); !s.ByClient || s.TwoChoices {
			t.Errorf("client is told as %+v", s)
		}
		if r.table.model.Load().services[1].oneWay() && !r.dp.rings[1].InDoubt(7) {
			t.Error("the entries of clients changed, and the ring is not in doubt")
		}
		if s := apply(config.SelectConnections); s.ByClient || !s.TwoChoices {
			t.Errorf("connections is told as %+v", s)
		}
		r.quiet()
		if m := r.status().Services[0].Marks; m != nil {
			t.Errorf("every packet is looked up, yet shown are marks %+v", *m)
		}
		if s := apply(config.SelectHash); s.ByClient || s.TwoChoices {
			t.Errorf("hash is told as %+v", s)
		}
		if got, ok := r.dp.data(client, vip); !ok || got != backend {
			t.Errorf("the flow reached %v (%v), want %v", got, ok, backend)
		}
	}
}

// The second choices follow the ring, and are never the first.
func TestSecondChoices(t *testing.T) {
	r := newRig(t)
	check := func(want int, who ...string) {
		t.Helper()
		named := map[loader.MemberID]int{}
		for i := range ring.Entries {
			first, second := r.dp.rings[1].Get(i), r.dp.seconds[1].Get(i)
			if first == second && first != 0 {
				t.Fatalf("entry %d names member %d twice", i, first)
			}
			named[second]++
		}
		delete(named, 0)
		if len(named) != want {
			t.Errorf("%d members are second choices, want %d of %v", len(named), want, who)
		}
	}
	s := with(serving("b1", "b2", "b3"), choosingBy(config.SelectConnections))
	r.apply(s)
	r.allUp()
	check(3, "b1", "b2", "b3")
	r.down("b2")
	check(2, "b1", "b3")
	r.restart()
	r.apply(s)
	r.allUp()
	check(3, "b1", "b2", "b3")
	r.down("b2", "b3")
	check(0)
}

func TestLoadsAreTold(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.table.tellLoads())
	if r.dp.loads != nil {
		t.Errorf("nobody chooses by loads, yet told are %v", r.dp.loads)
	}
	r.apply(with(serving("b1*1", "b2*4"), choosingBy(config.SelectConnections)))
	r.allUp()
	for range 5 {
		r.flow(vip)
	}
	must(r.table.tellLoads())
	var flows uint64
	for id, l := range r.dp.loads {
		flows += l.Flows
		if want := map[netip.AddrPort]uint32{backendAddr("b1"): 1, backendAddr("b2"): 4}[r.dp.members[id].Addr]; l.Weight != want {
			t.Errorf("member %d has weight %d, want %d", id, l.Weight, want)
		}
	}
	if flows != 5 || len(r.dp.loads) != 2 {
		t.Errorf("told are %v, want 5 flows of two members", r.dp.loads)
	}
}

func TestExplainTellsTheChoice(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1", "b2"), choosingBy(config.SelectConnections)))
	r.allUp()
	busy := r.flowTo(vip, "b1")
	client := r.client()
	e, err := r.table.Explain(bg, client, vip)
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(e.Steps, "\n"); !strings.Contains(all, "of its two choices") || e.Backend == "" {
		t.Errorf("with %v busy: %q", busy, e.Steps)
	}
	r.apply(with(serving("b1", "b2"), choosingBy(config.SelectClient)))
	if e, err = r.table.Explain(bg, client, vip); err != nil || !strings.Contains(strings.Join(e.Steps, "\n"), "by its address alone") {
		t.Errorf("%q, %v", e.Steps, err)
	}
}
