package main

import (
	"fmt"
	"slices"
	"time"

	"sluice/tools/bench/figure"
)

// tableFailover sets each contender beside keepalived, where that was measured.
func tableFailover(subjects []trial, samples [][]outcome, connections int) figure.Table {
	t := figure.Table{Name: "failover", Notes: []string{
		"blackout: the longest time without an answer to the client's echo requests, less their interval (a twentieth of that of adverts, 1 to 10 ms)",
		"returned, moved: share of the runs in which the VIP answered again, and from the other gateway; without it the blackout is as long as was waited",
		"owners: gateways that answer ARP for the VIP once it is back; answered_twice: echo requests with two answers",
		"heal_...: the fault is undone, and the preferred gateway takes over again",
		"connections end at HAProxy on the gateway where keepalived moves the VIP, and at the backend where sluice does",
	}}
	for i, s := range subjects {
		t.Notes = append(t.Notes, firstLost(s, samples[i])...)
		t.Rows = append(t.Rows, rowFailover(s, samples[i], keepalivedOf(subjects, samples, s), connections))
	}
	return t
}

// firstLost tells what became of a connection where that is for the product to
// answer for: at HAProxy all are known to end.
func firstLost(s trial, got []outcome) []string {
	i := slices.IndexFunc(got, func(o outcome) bool { return o.lost > 0 })
	if i < 0 || s.name() != sluiceName {
		return nil
	}
	return []string{fmt.Sprintf("%s, %s at %v: connections were lost, the first by: %s", s.name(), s.fault.name, s.interval, got[i].why)}
}

// keepalivedOf are the outcomes of keepalived in the same case, nil where there
// are none.
func keepalivedOf(subjects []trial, samples [][]outcome, s trial) []outcome {
	i := slices.IndexFunc(subjects, func(r trial) bool {
		return r.name() == keepalivedName && r.fault.name == s.fault.name && r.interval == s.interval
	})
	if i < 0 {
		return nil
	}
	return samples[i]
}

func rowFailover(s trial, got, reference []outcome, connections int) figure.Row {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	blackout := func(o outcome) float64 { return ms(o.blackout) }
	figures := []figure.Figure{
		{Name: "blackout_ms", Unit: "ms", Samples: figure.Each(got, blackout)},
		{Name: "adverts", Samples: figure.Each(got, func(o outcome) float64 { return float64(o.blackout) / float64(s.interval) })},
	}
	// A ratio to nothing is none: killed, keepalived leaves the VIP where it was.
	if r := figure.Each(reference, blackout); len(r) > 0 && !slices.Contains(r, 0) {
		figures = append(figures, figure.Figure{
			Name: "per_keepalived", Unit: "x", Samples: figure.Ratios(figure.Each(got, blackout), r),
		})
	}
	figures = append(figures,
		figure.Figure{Name: "returned", Samples: mean(got, func(o outcome) float64 { return o.returned })},
		figure.Figure{Name: "moved", Samples: mean(got, func(o outcome) float64 { return o.moved })},
		figure.Figure{Name: "owners", Samples: figure.Each(got, func(o outcome) float64 { return o.owners })},
		figure.Figure{Name: "answered_twice", Samples: figure.Each(got, func(o outcome) float64 { return o.twice })},
		figure.Figure{Name: "connections_lost", Samples: figure.Each(got, func(o outcome) float64 { return o.lost })},
		figure.Figure{Name: "heal_blackout_ms", Unit: "ms", Samples: figure.Each(got, func(o outcome) float64 { return ms(o.healBlackout) })},
		figure.Figure{Name: "heal_returned", Samples: mean(got, func(o outcome) float64 { return o.healReturned })},
		figure.Figure{Name: "heal_owners", Samples: figure.Each(got, func(o outcome) float64 { return o.healOwners })},
	)
	return figure.Row{
		Varied: []figure.Cell{
			{Name: "interval_ms", Value: s.interval.Milliseconds()}, {Name: "case", Value: s.fault.name}, {Name: "contender", Value: s.name()},
		},
		Facts:   []figure.Cell{{Name: "relay", Value: s.relay()}, {Name: "connections", Value: connections}},
		Figures: figures,
	}
}

// mean is a share of the runs: a median would hide the one that differs.
func mean(got []outcome, of func(outcome) float64) []float64 {
	sum := 0.0
	for _, o := range got {
		sum += of(o)
	}
	return []float64{sum / float64(len(got))}
}
