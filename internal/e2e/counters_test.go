package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"testing"

	"sluice/internal/nettest"
)

// TestCountersExact compares what sluice counted with what the kernel of the
// client counted on its way out, for 1 000 connections, over a restart and a
// replacement of the program in the middle.
func TestCountersExact(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	w := runningWith(t, shape{mode: "nat", clientAddress: "hide"}, calmCheck)
	vip := vips["IPv4"]
	rule := meter(t, w, vip)
	base := w.backends()
	for round := range 4 {
		exchange(t, w, vip, 250)
		switch round {
		case 0:
			w.kill()
			w.start()
		case 1:
			w.kill()
			replacePrograms(t, w, 1)
			w.start()
		}
	}
	sent, bytes := rule()
	eventually(t, "the counters agree", func() error {
		var packets, octets, opened, now uint64
		for name, b := range w.backends() {
			packets += b.PacketsIn - base[name].PacketsIn
			octets += b.BytesIn - base[name].BytesIn
			opened += b.FlowsOpened - base[name].FlowsOpened
			now += b.FlowsNow
		}
		if packets != sent || octets != bytes || opened != 1000 || now != 0 {
			return fmt.Errorf("sluice counted %d packets, %d bytes, %d flows opened, %d now; sent were %d, %d, 1000 and 0 live",
				packets, octets, opened, now, sent, bytes)
		}
		return nil
	})
}

// meter counts what the client sends to vip, in packets and IP bytes.
func meter(t *testing.T, w *world, vip netip.AddrPort) func() (packets, bytes uint64) {
	t.Helper()
	nft := func(args ...string) string {
		return runCmd(t, w.Client.Command(t.Context(), "nft", args...))
	}
	nft(fmt.Sprintf("table inet tally { counter sent { }; chain out { type filter hook postrouting priority 300; ip daddr %s tcp dport %d counter name sent; }; }", vip.Addr(), vip.Port()))
	return func() (uint64, uint64) {
		var list struct {
			Nftables []struct {
				Counter *struct{ Packets, Bytes uint64 }
			}
		}
		must(t, json.Unmarshal([]byte(nft("-j", "list", "counters", "table", "inet", "tally")), &list))
		for _, o := range list.Nftables {
			if o.Counter != nil {
				return o.Counter.Packets, o.Counter.Bytes
			}
		}
		t.Fatal("nft shows no counter")
		return 0, 0
	}
}

// exchange opens n connections, reads the banner of each and closes them.
func exchange(t *testing.T, w *world, vip netip.AddrPort, n int) {
	t.Helper()
	conns, err := nettest.OpenConns(t.Context(), w.Client, vip, n)
	must(t, err)
	_, err = conns.Read(len("SSH-2.0-"), patience)
	must(t, err)
	must(t, conns.Close())
}

// TestWeights checks that weights 1:2:5 are shares of 1/8, 2/8 and 5/8 within
// four standard deviations of a fair draw.
func TestWeights(t *testing.T) {
	w := runningWith(t, shape{mode: "nat", clientAddress: "hide"}, calmCheck)
	vip := vips["IPv4"]
	weights := map[string]int{"b1": 1, "b2": 2, "b3": 5}
	for name, weight := range weights {
		w.do("weight", name, fmt.Sprint(weight))
	}
	before := w.backends()
	const n = 1200
	for range 4 {
		exchange(t, w, vip, n/4)
	}
	after := w.backends()
	for name, weight := range weights {
		p := float64(weight) / 8
		bound := 4 * math.Sqrt(n*p*(1-p))
		got := float64(after[name].FlowsOpened - before[name].FlowsOpened)
		if math.Abs(got-n*p) > bound {
			t.Errorf("%s with weight %d of 8 got %.0f of %d connections; %.0f ± %.0f are fair", name, weight, got, n, n*p, bound)
		}
	}
}
