package blackout

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sluice/internal/nettest"
)

func TestLongest(t *testing.T) {
	start := time.Now()
	at := func(ms ...int) (times []time.Time) {
		for _, m := range ms {
			times = append(times, start.Add(time.Duration(m)*time.Millisecond))
		}
		return times
	}
	for name, tt := range map[string]struct {
		answered []time.Time
		want     int // ms
	}{
		"no gap":                     {at(90, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200), 0},
		"a gap within":               {at(100, 110, 170, 180, 190, 200), 50},
		"begins before the fault":    {at(70, 150, 160, 170, 180, 190, 200), 70},
		"nothing after":              {at(90, 100), 90},
		"nothing at all":             {nil, 90},
		"what came later is no help": {at(100, 300), 90},
		"what was before is no gap":  {at(10, 95, 105, 115, 125, 135, 145, 155, 165, 175, 185, 195, 205), 0},
		"the longest of two":         {at(100, 130, 180, 200), 40},
	} {
		w := at(100, 200)
		if got := longest(tt.answered, w[0], w[1], 10*time.Millisecond); got != time.Duration(tt.want)*time.Millisecond {
			t.Errorf("%s: %v, want %d ms", name, got, tt.want)
		}
	}
}

func TestTwice(t *testing.T) {
	w := Witness{seen: []sight{
		{gateway: 0, number: 1}, {gateway: 0, number: 1}, // the same gateway again is no second one
		{gateway: 0, number: 2}, {gateway: 1, number: 2},
		{gateway: 1, number: 3}, {gateway: 0, arp: true}, {gateway: 1, arp: true},
	}}
	if got := w.Twice(); got != 1 {
		t.Errorf("%d requests were answered twice, want 1", got)
	}
}

func TestLookTakesNoForeignFrame(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.3")
	frame := make([]byte, 14+20+16)
	frame[12], frame[13] = 8, 0
	frame[14], frame[14+9] = 0x45, 1
	copy(frame[14+12:], vip.AsSlice())
	reply := request(7)
	reply[0] = echoReply
	copy(frame[34:], reply)
	if s, ok := look(frame, vip); !ok || s.number != 7 {
		t.Fatalf("a good answer is not seen: %+v", s)
	}
	for n := range frame {
		if _, ok := look(frame[:n], vip); ok {
			t.Errorf("%d bytes of it are taken for an answer", n)
		}
	}
	for _, i := range []int{12, 13, 14 + 9, 14 + 12, 34, 34 + 8} {
		bad := slices.Clone(frame)
		bad[i] ^= 0x4
		if _, ok := look(bad, vip); ok {
			t.Errorf("with byte %d changed it is taken for an answer", i)
		}
	}
}

// await polls, bounded.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !cond() {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// Real gateways: one answers, then none, then the other, then both.
func TestProbeAndWitness(t *testing.T) {
	c := nettest.ClusterForTest(t, nettest.ClusterOptions{Backends: 1})
	a, b := c.Gateways[0], c.Gateways[1]
	vip := netip.PrefixFrom(c.VIP.V4, 32)
	w, err := Listen(c.Ext, c.VIP.V4, a.Label, b.Label)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := StartProbe(c.Client, c.VIP.V4, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := a.AddAddr(nettest.OutsideLink, vip); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	await(t, "gw-a answers", func() bool { return slices.Equal(w.Echoes(began), []int{0}) && p.Answered(began) })
	fault := time.Now()
	if err := a.PowerOff(); err != nil {
		t.Fatal(err)
	}
	off := time.Now()
	if err := b.AddAddr(nettest.OutsideLink, vip); err != nil {
		t.Fatal(err)
	}
	// The client keeps to the old neighbour until somebody says otherwise.
	if err := announce(b, c.VIP.V4); err != nil {
		t.Fatal(err)
	}
	await(t, "gw-b answers", func() bool { return slices.Equal(w.Echoes(off), []int{1}) && p.Answered(off) })
	if gap, most := p.Longest(fault, time.Now()), time.Since(fault); gap <= 0 || gap > most {
		t.Errorf("the gap is %v of %v", gap, most)
	}
	asked := time.Now()
	ask := func(want ...int) {
		t.Helper()
		await(t, "owners", func() bool {
			if err := Ask(c.Router, nettest.OutsideLink, netip.MustParseAddr("192.0.2.254"), c.VIP.V4); err != nil {
				t.Fatal(err)
			}
			return slices.Equal(w.Owners(asked), want)
		})
	}
	ask(1)
	if err := a.Restore(); err != nil {
		t.Fatal(err)
	}
	if err := a.AddAddr(nettest.OutsideLink, vip); err != nil {
		t.Fatal(err)
	}
	ask(0, 1)
}

// announce sends a gratuitous ARP as a gateway does.
func announce(g *nettest.ClusterGateway, vip netip.Addr) error {
	return Ask(g.Namespace, nettest.OutsideLink, vip, vip)
}

// An answer to who asked says that its sender owns the VIP; a question does not,
// nor does an announcement, which is one of a former owner as well.
func TestLookAtARP(t *testing.T) {
	vip, asker := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.254")
	arp := func(operation byte, sender, target netip.Addr) []byte {
		frame := make([]byte, 14+28)
		frame[12], frame[13] = 8, 6
		frame[14+7] = operation
		copy(frame[14+14:], sender.AsSlice())
		copy(frame[14+24:], target.AsSlice())
		return frame
	}
	for name, tt := range map[string]struct {
		frame []byte
		want  bool
	}{
		"answer":           {arp(2, vip, asker), true},
		"question":         {arp(1, vip, asker), false},
		"announcement":     {arp(2, vip, vip), false},
		"another's answer": {arp(2, asker, vip), false},
	} {
		if s, ok := look(tt.frame, vip); ok != tt.want || ok && !s.arp {
			t.Errorf("%s: %v", name, ok)
		}
	}
}
