package loader_test

import (
	"errors"
	"testing"
	"time"

	"sluice/loader"
)

// tiny makes the smallest table there is: 4096 lines, and as many entries for
// what finds its four lines taken.
func tiny(p *plan) { p.MaxFlows = 1024 }

// Flows that find their lines taken are flows like any other.
func TestOverflow(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v4"], tiny, func(p *plan) { p.Lifetimes = shortLives })
	// Two entries a flow: the lines are nearly all taken.
	const count = 1900
	g.inside(t, func(f *filler) error { return f.each(count, f.establish) })
	over := wantOverflow(t, g.dp, count)
	g.inside(t, func(f *filler) error { return f.each(count, f.talk) })
	wantNoDrops(t, g.dp)

	if n, err := g.dp.Kill(over[:1]); err != nil || n != 1 {
		t.Errorf("killed %d flows outside the lines (%v)", n, err)
	}
	if f, ok := find(t, g.dp, over[0].Client); !ok || f.State != loader.FlowKilled {
		t.Errorf("after the kill the flow is %+v (%v)", f, ok)
	}
	removed := 0
	inTicks(t, "all flows expire", func() bool {
		n, err := g.dp.Expire(t.Context())
		must(t, err)
		removed += n
		return len(scan(t, g.dp)) == 0
	})
	n, err := g.dp.Expire(t.Context())
	must(t, err)
	if removed+n != 2*count {
		t.Errorf("freed %d entries and %d more, want %d", removed, n, 2*count)
	}
	wantCounted(t, g.dp, count, count)
}

// wantOverflow fails the test unless every flow is there and can be found, and
// returns those outside the lines.
func wantOverflow(t *testing.T, dp *loader.Dataplane, count int) (over []loader.Flow) {
	t.Helper()
	flows := scan(t, dp)
	for who, f := range flows {
		found, ok := find(t, dp, who)
		if !ok || found.Line != f.Line || found.Member != f.Member || found.Source != f.Source {
			t.Errorf("scanned %+v, found %+v (%v)", f, found, ok)
		}
		if f.Line == loader.NoLine {
			over = append(over, f)
		}
	}
	if len(flows) != count || len(over) == 0 || len(over) > count/2 {
		t.Fatalf("of %d flows %d are there, %d of them outside the lines", count, len(flows), len(over))
	}
	return over
}

// wantCounted fails the test unless so many flows were opened and closed.
func wantCounted(t *testing.T, dp *loader.Dataplane, wantOpened, wantClosed int) {
	t.Helper()
	counters, err := dp.MemberCounters()
	must(t, err)
	var opened, closed uint64
	for _, c := range counters {
		opened, closed = opened+c.FlowsOpened, closed+c.FlowsClosed
	}
	if opened != uint64(wantOpened) || closed != uint64(wantClosed) {
		t.Errorf("%d flows are counted as opened and %d as closed, want %d and %d", opened, closed, wantOpened, wantClosed)
	}
}

// A full table refuses new nat flows, with a reason, and never an old one.
func TestFullTable(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v4"], tiny)
	const count = 5000
	refused := map[int]bool{}
	g.inside(t, func(f *filler) error {
		for i := range count {
			var no refuses
			if err := f.establish(i); errors.As(err, &no) && no == (refuses{"ACK", xdpDrop}) {
				refused[i] = true
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	flows := scan(t, g.dp)
	if len(flows)+len(refused) != count || len(refused) == 0 || len(flows) < 3500 {
		t.Errorf("of %d flows %d are there and %d were refused", count, len(flows), len(refused))
	}
	for i := range count {
		if _, there := flows[clientOf(i)]; there == refused[i] {
			t.Errorf("client %d: flow %v, refused %v", i, there, refused[i])
		}
	}
	if n := drops(t, g.dp, "table_full"); n != uint64(len(refused)) {
		t.Errorf("%d packets are counted as table_full, %d flows were refused", n, len(refused))
	}
	counters, err := g.dp.ServiceCounters()
	must(t, err)
	if n := counters[testService].Refused; n != uint64(len(refused)) {
		t.Errorf("%d flows are counted as refused, %d were", n, len(refused))
	}
	g.inside(t, func(f *filler) error {
		return f.each(count, func(i int) error {
			if refused[i] {
				return nil
			}
			return f.talk(i)
		})
	})
}

// In dsr a flow without an entry goes on by the ring and is counted; a proven
// one is never given up for it.
func TestFullTableOfDSR(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["dsr v4"], tiny, func(p *plan) {
		p.Lifetimes = loader.Lifetimes{Established: time.Hour, Young: tick}
	})
	const proven, count = 2000, 12_000
	g.inside(t, func(f *filler) error {
		if err := f.each(proven, f.establish); err != nil {
			return err
		}
		if err := f.waitTick(); err != nil {
			return err
		}
		if err := f.each(proven, f.talk); err != nil {
			return err
		}
		return f.each(count-proven, func(i int) error {
			return errors.Join(f.establish(proven+i), f.talk(proven+i))
		})
	})
	flows := scan(t, g.dp)
	states := map[loader.FlowState]int{}
	for _, f := range flows {
		states[f.State]++
	}
	services, err := g.dp.ServiceCounters()
	must(t, err)
	without := int(services[testService].FlowsUnprotected)
	if len(flows)+without != count || without == 0 {
		t.Errorf("of %d flows %d have an entry and %d are counted as unprotected", count, len(flows), without)
	}
	// Among the first ones some young flow may have lost its line to another.
	early := 0
	for i := range proven {
		if f, ok := flows[clientOf(i)]; ok && f.State == loader.FlowEstablished {
			early++
		}
	}
	if early != states[loader.FlowEstablished] || early < proven*9/10 {
		t.Errorf("%d of %d proven flows are there, states %v", early, proven, states)
	}
	wantNoDrops(t, g.dp)
}
