package loader_test

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
)

// nftCounter makes nftables count what leaves a namespace for port or from it.
func nftCounter(t *testing.T, n *nettest.Namespace, match string) {
	t.Helper()
	nft(t, n, "add table inet count; "+
		"add chain inet count out { type filter hook output priority 0; }; "+
		"add rule inet count out "+match+" counter")
}

func nft(t *testing.T, n *nettest.Namespace, script string) string {
	t.Helper()
	program, err := nettest.FindProgram("nft")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := n.Command(ctx, program, script).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", script, err, out)
	}
	return string(out)
}

// sent is what was counted: packets, and bytes of IP total length.
type sent struct{ packets, bytes uint64 }

var nftFigures = regexp.MustCompile(`counter packets (\d+) bytes (\d+)`)

func nftCounted(t *testing.T, n *nettest.Namespace) sent {
	t.Helper()
	m := nftFigures.FindStringSubmatch(nft(t, n, "list table inet count"))
	if m == nil {
		t.Fatal("nft shows no counter")
	}
	packets, err := strconv.ParseUint(m[1], 10, 64)
	must(t, err)
	bytes, err := strconv.ParseUint(m[2], 10, 64)
	must(t, err)
	return sent{packets, bytes}
}

// TestCountersAreExact compares the dataplane's counters with those of the
// kernels that sent, over a restart and a program swap.
func TestCountersAreExact(t *testing.T) {
	t.Parallel()
	nettest.Require(t, nettest.Program("nft"))
	for name, perPhase := range map[string]int{"hide v4": 340, "keep v6": 30, "dsr v4": 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, shapes()[name])
			nftCounter(t, g.Client, fmt.Sprintf("%s daddr %s tcp dport %d", family(g.listen), g.listen.Addr(), testPort))
			for _, b := range g.Backends {
				nftCounter(t, b.Namespace, fmt.Sprintf("tcp sport %d", testPort))
			}
			// Packets that wait for a neighbour are sent but may be dropped.
			g.dial(t)
			const phases = 3
			exchangeAll(t, g, perPhase)
			must(t, g.dp.Close())
			g.open(t)
			exchangeAll(t, g, perPhase)
			twin, err := g.twin()
			must(t, err)
			must(t, g.GW.Do(func() error { return twin.Attach(g.opts) }))
			must(t, twin.CloseTwin())
			exchangeAll(t, g, perPhase)
			wantExact(t, g, uint64(phases*perPhase+1))
		})
	}
}

func family(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return "ip"
	}
	return "ip6"
}

// exchangeAll opens connections, has each send and receive, and closes them.
func exchangeAll(t *testing.T, g *gateway, count int) {
	t.Helper()
	conns, err := nettest.OpenConns(t.Context(), g.Client, g.listen, count)
	must(t, err)
	_, err = conns.Read(bannerLen, patience)
	must(t, err)
	must(t, conns.Exchange(make([]byte, 3001), patience))
	must(t, conns.Close())
}

// figures are what both sides say.
type figures struct {
	forth, back  sent // by the kernels that sent
	in, out      sent // by the dataplane
	opened, syns uint64
	accepted     uint64   // by the backends
	unequal      []string // members that disagree with their backend
}

func (g *gateway) figures(t *testing.T) (f figures) {
	t.Helper()
	f.forth = nftCounted(t, g.Client)
	members, err := g.dp.MemberCounters()
	must(t, err)
	for i, b := range g.Backends {
		c := members[loader.MemberID(i+1)]
		f.in = f.in.plus(sent{c.PacketsIn, c.BytesIn})
		f.out = f.out.plus(sent{c.PacketsOut, c.BytesOut})
		f.opened, f.syns = f.opened+c.FlowsOpened, f.syns+c.SYNs
		f.accepted += uint64(g.servers[i].Accepted())
		// In dsr what backends send goes another way.
		if g.service.Mode == loader.ModeNAT {
			f.back = f.back.plus(nftCounted(t, b.Namespace))
		}
		if n := uint64(g.servers[i].Accepted()); n != c.FlowsOpened {
			f.unequal = append(f.unequal, fmt.Sprintf("%s accepted %d connections, its member counts %d", b.Label, n, c.FlowsOpened))
		}
	}
	return f
}

func (s sent) plus(o sent) sent { return sent{s.packets + o.packets, s.bytes + o.bytes} }

// wantExact fails the test unless the counters agree as soon as the last packet
// has arrived.
func wantExact(t *testing.T, g *gateway, connections uint64) {
	t.Helper()
	f := g.figures(t)
	for deadline := time.Now().Add(patience / 4); f.forth != f.in || f.back != f.out; f = g.figures(t) {
		if time.Now().After(deadline) {
			t.Fatalf("sent by the client %+v, counted in %+v; sent by backends %+v, counted out %+v", f.forth, f.in, f.back, f.out)
		}
	}
	for _, what := range f.unequal {
		t.Error(what)
	}
	if f.opened != connections || f.accepted != connections || f.syns < connections {
		t.Errorf("%d connections, %d flows opened, %d accepted, %d SYNs", connections, f.opened, f.accepted, f.syns)
	}
	services, err := g.dp.ServiceCounters()
	must(t, err)
	if s := services[testService]; (sent{s.PacketsIn, s.BytesIn}) != f.in || s.SYNs != f.syns {
		t.Errorf("the service counted %+v, its members %+v and %d SYNs", s, f.in, f.syns)
	}
	wantNoDrops(t, g.dp)
}
