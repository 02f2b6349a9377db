package failover

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/vip/vrrp"
)

// forged is an advert with one thing that may be wrong.
type forged struct {
	name     string
	source   func(p *pair) netip.Addr
	vrid     uint8
	priority uint8
	ttl      uint8
	damage   func([]byte) []byte
	// refused is the counter that must grow, "" for one that is well formed.
	refused string
}

func (f forged) frame(p *pair) ([]byte, error) {
	from := p.ClientAddr.V4
	if f.source != nil {
		from = f.source(p)
	}
	text, err := vrrp.Append(nil, &vrrp.Advert{
		Version: 3, VRID: f.vrid, Priority: f.priority, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{p.VIP.V4},
	}, vrrp.Path{Source: from, Destination: vrrpGroup}, vrrp.WithPseudoHeader, nil)
	if err != nil {
		return nil, err
	}
	if f.damage != nil {
		text = f.damage(text)
	}
	return vrrpFrame(clientMAC, from, f.ttl, text), nil
}

// clientMAC is where forged adverts come from.
var clientMAC = []byte{2, 0, 0, 0, 0, 0x66}

// shower sends one again and again from the client's network.
func (p *pair) shower(f forged) (stop func()) {
	p.t.Helper()
	b, err := f.frame(p)
	must(p.t, err)
	return again(p.t, 10*time.Millisecond, func() error { return send(p.Client, nettest.HostLink, b) })
}

// TestF12EqualPriorities: the greater heartbeat address is the first.
func TestF12EqualPriorities(t *testing.T) {
	p := share(t, with(plain, "priority: {gw-a: 150, gw-b: 100}", "priority: {gw-a: 100, gw-b: 100}\n    preempt: true"))
	_, err := p.a.try("vip", "resign", "--all", "--for", "1s")
	must(t, err)
	p.eventually("gw-b was active, until the order ended", func() error {
		if n := len(p.changes(p.b)); n < 2 {
			return fmt.Errorf("it changed %d times", n)
		}
		return nil
	})
	p.want("active", "backup")
	p.serves()
	p.wantChanges(p.b, "backup>active role_free", "active>backup handed_over")
}

// numbered are settings with a VRID of their own: what a test had counted and
// alarmed is of a virtual router that is gone with the next.
func numbered(vrid int) string { return with(plain, "vrid: 51", fmt.Sprintf("vrid: %d", vrid)) }

// TestF12Stranger: another machine that uses our VRID is found out while the
// gateways hear each other, and changes nothing.
func TestF12Stranger(t *testing.T) {
	p := share(t, numbered(61))
	stop := p.shower(forged{vrid: 61, priority: 200, ttl: 255})
	// That the active one is heard as such needs no heartbeat of the stranger.
	p.wantAlarm(p.a, "foreign")
	p.advertises(p.a, 20)
	p.want("active", "backup")
	stop()
	p.serves()
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}

// TestF12ForeignVRID: other virtual routers on the network are nobody's business.
func TestF12ForeignVRID(t *testing.T) {
	p := share(t, numbered(62))
	stop := p.shower(forged{vrid: 77, priority: 255, ttl: 255})
	p.eventually("it is counted", func() error { return p.counted("unknown_vrid", 20) })
	stop()
	p.wantNoAlarms(p.each...)
	p.want("active", "backup")
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}

// counted says which gateway has not refused so many adverts for a reason.
func (p *pair) counted(reason string, least uint64) error {
	for _, g := range p.each {
		if n := g.segment(nettest.OutsideLink).Refused[reason]; n < least {
			return fmt.Errorf("%s counts %d as %s", g.Label, n, reason)
		}
	}
	return nil
}

// TestF13Forged: adverts that anybody on the network can send move nothing while
// the gateways hear each other by heartbeat, and what is malformed never does.
func TestF13Forged(t *testing.T) {
	ofA := func(p *pair) netip.Addr { return p.a.Ext.V4 }
	ofB := func(p *pair) netip.Addr { return p.b.Ext.V4 }
	last := func(b []byte) []byte { b[len(b)-1]++; return b }
	tests := []forged{
		{name: "priority 255", vrid: 63, priority: 255, ttl: 255},
		{name: "priority 0", vrid: 63, priority: 0, ttl: 255},
		{name: "priority 255 in the name of the backup", source: ofB, vrid: 63, priority: 255, ttl: 255},
		{name: "priority 0 in the name of the active one", source: ofA, vrid: 63, priority: 0, ttl: 255},
		{name: "through a router", vrid: 63, priority: 255, ttl: 254, refused: "hop_limit"},
		{name: "damaged", vrid: 63, priority: 255, ttl: 255, damage: last, refused: "bad_checksum"},
		{name: "cut", vrid: 63, priority: 255, ttl: 255, damage: func(b []byte) []byte { return b[:len(b)-2] }, refused: "truncated"},
	}
	p := share(t, numbered(63))
	for _, f := range tests {
		before := map[*gateway]uint64{}
		for _, g := range p.each {
			before[g] = g.segment(nettest.OutsideLink).Refused[f.refused]
		}
		stop := p.shower(f)
		p.advertises(p.a, 10)
		if f.refused != "" {
			for _, g := range p.each {
				p.eventually(f.name+" is counted", func() error { return p.counted(f.refused, before[g]+10) })
			}
		}
		stop()
		p.want("active", "backup")
		if t.Failed() {
			t.Fatalf("after %s", f.name)
		}
	}
	p.serves()
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}
