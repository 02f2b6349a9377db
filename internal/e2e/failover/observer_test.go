package failover

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sluice/loader"
	"sluice/vip"
)

// sampleEvery is the time between two looks at all owner words. Two that are open
// for longer than that at once are seen.
const sampleEvery = 2 * time.Millisecond

// observer reads the owner words of all gateways again and again, out of the maps
// that the XDP programs read. Two that are open at one instant fail the test.
type observer struct {
	t    *testing.T
	vips []netip.Addr
	eyes []*eye
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	dualOK bool
	duals  int
	first  string
	looks  int
}

// eye looks at the words of one gateway.
type eye struct {
	g      *gateway
	owners *loader.Owners
	open   map[netip.Addr]bool
	closed map[netip.Addr]int // how often it was seen to close
}

// observe watches until end; settings may name more VIPs than the usual two.
func observe(t *testing.T, all *gateways, more ...netip.Addr) *observer {
	o := &observer{t: t, stop: make(chan struct{}), done: make(chan struct{})}
	o.vips = append([]netip.Addr{all.VIP.V4, all.InsideVIP.V4}, more...)
	for _, g := range all.each {
		o.eyes = append(o.eyes, &eye{g: g, open: map[netip.Addr]bool{}, closed: map[netip.Addr]int{}})
	}
	go o.run()
	return o
}

func (o *observer) run() {
	defer close(o.done)
	ticks := time.NewTicker(sampleEvery)
	defer ticks.Stop()
	for {
		for _, v := range o.vips {
			o.look(v)
		}
		select {
		case <-o.stop:
			return
		case <-ticks.C:
		}
	}
}

// look reads the words of a VIP. An eye that saw one open before another did looks
// again: only when it is open still, both were at one instant.
func (o *observer) look(v netip.Addr) {
	var open []*eye
	for _, e := range o.eyes {
		is := e.sees(v)
		o.mu.Lock()
		if e.open[v] && !is {
			e.closed[v]++
		}
		e.open[v] = is
		o.looks++
		o.mu.Unlock()
		if is {
			open = append(open, e)
		}
	}
	if len(open) < 2 {
		return
	}
	if !open[0].sees(v) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dualOK {
		return
	}
	if o.duals++; o.duals == 1 {
		o.first = fmt.Sprintf("the words of %s are open on %s and %s at %v", v, open[0].g.Label, open[1].g.Label, vip.Monotonic())
	}
}

// sees says whether a word is open now. One that cannot be read is not: then no
// program has it.
func (e *eye) sees(v netip.Addr) bool {
	if e.owners == nil {
		owners, err := loader.OpenOwners(filepath.Join(e.g.bpffs, "sluice"))
		if err != nil {
			return false
		}
		e.owners = owners
	}
	active, until, err := e.owners.State(v)
	if err != nil {
		_ = e.owners.Close() // reopened at the next look
		e.owners = nil
		return false
	}
	return active && (until == 0 || vip.Monotonic() < until)
}

// allowTwo is for the one fault where two cannot be told from one.
func (o *observer) allowTwo(ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dualOK = ok
}

// closings says how often a gateway's word was seen to close.
func (o *observer) closings(g *gateway, v netip.Addr) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.eyes {
		if e.g == g {
			return e.closed[v]
		}
	}
	return -1
}

// isOpen says whether a gateway's word was open when last seen.
func (o *observer) isOpen(g *gateway, v netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.eyes {
		if e.g == g {
			return e.open[v]
		}
	}
	return false
}

// end stops it and fails the test if two had an open word.
func (o *observer) end() {
	close(o.stop)
	<-o.done
	for _, e := range o.eyes {
		if e.owners != nil {
			_ = e.owners.Close() // only read
		}
	}
	if o.duals > 0 {
		o.t.Errorf("%d times two gateways steered at once: first, %s", o.duals, o.first)
	}
	if o.looks == 0 {
		o.t.Error("the observer never looked")
	}
}
