package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// heldVIP is one VIP with the virtual cluster it belongs to.
type heldVIP struct {
	control.VIP
	cluster control.VirtualCluster
}

// showVIPs has a line for each VIP: who asks has one in hand. What is known of
// several peers stands in one cell, in the order of their names there.
func showVIPs(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:  "vips",
		Usage: "the VIPs of virtual clusters, who has them and since when, and the other gateways",
		Flags: f.flags(),
		Description: "PRIO is the priority as advertised and, after the slash, as the settings say. HEARD is how\n" +
			"long ago a peer was, LOSS the part of the heartbeats from it and to it that were lost, SYNC how\n" +
			"far the flows of one lag behind those of the other. --json also tells of adverts, pings and links.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			list, err := n.VirtualClusters(ctx)
			if err != nil {
				return err
			}
			var rows []heldVIP
			for _, c := range list.VirtualClusters {
				for _, v := range c.VIPs {
					rows = append(rows, heldVIP{v, c})
				}
			}
			return show(g.stdout, f, list, rows, vipColumns())
		})
	})
}

func vipColumns() []column[heldVIP] {
	type v = heldVIP
	base := func(r v) uint64 { return uint64(r.cluster.Priority.Base) }
	priority := number("PRIO", "priority_effective", func(r v) uint64 { return uint64(r.cluster.Priority.Effective) })
	priority.text = func(r v) string { return fmt.Sprintf("%d/%d", r.cluster.Priority.Effective, base(r)) }
	return []column[v]{
		text("CLUSTER", "cluster", func(r v) string { return r.cluster.Name }),
		text("VIP", "vip", func(r v) string { return r.Addr.Addr().String() }),
		text("INTERFACE", "interface", func(r v) string { return r.Interface }),
		text("STATE", "state", func(r v) string { return string(r.cluster.State) }),
		text("SINCE", "since", func(r v) string { return timeText(r.cluster.Since) }),
		priority,
		number("", "priority_base", base),
		peerColumn("PEER", "peers", func(p peer) string { return p.Node }, nil),
		peerColumn("PEER STATE", "peer_states", func(p peer) string { return string(p.State) }, peerState),
		peerColumn("HEARD", "heard_seconds", func(p peer) string { return decimal(time.Duration(p.Age).Seconds()) }, func(p peer) string { return momentText(p.Age) }),
		peerColumn("LOSS", "loss_in", func(p peer) string { return decimal(p.LossIn) }, func(p peer) string { return percent(p.LossIn) + "/" + percent(p.LossOut) }),
		peerColumn("", "loss_out", func(p peer) string { return decimal(p.LossOut) }, nil),
		peerColumn("", "alive", func(p peer) string { return strconv.FormatBool(p.Alive) }, nil),
		peerColumn("", "hears_us", func(p peer) string { return strconv.FormatBool(p.HearsUs) }, nil),
		peerColumn("", "synced", func(p peer) string { return strconv.FormatBool(p.Synced) }, nil),
		text("SYNC", "sync", func(r v) string {
			return perPeer(r, func(p peer) string { return syncText(r.cluster.Sync, p.Node) })
		}),
		text("REASON", "reason", func(r v) string { return r.cluster.Reason }),
	}
}

type peer = control.GatewayPeer

// peerColumn is a cell with a word for each peer, for programs and, where it
// differs, for people.
func peerColumn(head, name string, value, word func(peer) string) column[heldVIP] {
	c := text(head, name, func(r heldVIP) string { return perPeer(r, value) })
	if word != nil {
		c.text = func(r heldVIP) string { return orDash(perPeer(r, word)) }
	}
	return c
}

// perPeer joins a word for each peer, in the order of their names.
func perPeer(r heldVIP, word func(peer) string) string {
	var words []string
	for _, p := range r.cluster.Peers {
		words = append(words, word(p))
	}
	return strings.Join(words, ",")
}

// peerState is what a peer said it is, while it can be believed.
func peerState(p peer) string {
	switch {
	case !p.Alive:
		return "silent"
	case !p.HearsUs:
		return string(p.State) + " (deaf)"
	}
	return string(p.State)
}

// percent writes a part of a whole.
func percent(part float64) string { return strconv.FormatFloat(100*part, 'f', 0, 64) + "%" }

// decimal writes a number for programs.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// momentText writes a length of time that is short while all is well.
func momentText(s control.Seconds) string {
	d := time.Duration(s)
	if d >= time.Minute {
		return spanText(d)
	}
	return d.Round(time.Millisecond).String()
}

// syncText says for each direction of the sync with a peer how far it lags, or
// what it is doing.
func syncText(list []control.FlowSync, node string) string {
	var words []string
	for _, s := range list {
		switch {
		case s.Peer != node:
		case s.State == "synced":
			words = append(words, s.Direction+" "+momentText(s.Lag))
		default:
			words = append(words, s.Direction+" "+s.State)
		}
	}
	return orDash(strings.Join(words, " "))
}
