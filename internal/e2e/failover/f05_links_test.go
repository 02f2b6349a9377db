package failover

import (
	"fmt"
	"testing"

	"sluice/internal/nettest"
)

// TestF05Cable: an interface without carrier moves the whole cluster once, however
// often the carrier comes and goes after.
func TestF05Cable(t *testing.T) {
	p := share(t, plain) // without pings, which find it as well
	must(t, p.a.CableOut(nettest.OutsideLink))
	p.want("backup", "active")
	// By the carrier, and not because no advert can be sent: that is forgotten when
	// none is to be.
	p.eventually("gw-a knows of the cable", func() error { return p.a.linkIs(nettest.OutsideLink, false) })
	p.serves()
	for range 10 {
		must(t, p.a.Restore())
		must(t, p.a.CableOut(nettest.OutsideLink))
	}
	must(t, p.a.Restore())
	p.eventually("gw-a knows that it is back", func() error { return p.a.linkIs(nettest.OutsideLink, true) })
	p.wantNoAlarms(p.each...)
	p.want("backup", "active")
	p.wantChanges(p.a, "active>backup handed_over")
	p.wantChanges(p.b, "backup>active peer_worse|role_free")
	p.serves()
}

// linkIs says why an interface does not stand as wanted.
func (g *gateway) linkIs(name string, up bool) error {
	c, err := g.cluster()
	if err != nil {
		return err
	}
	for _, l := range c.Links {
		if l.Interface == name && l.Up == up {
			return nil
		}
	}
	return fmt.Errorf("it shows %+v", c.Links)
}

// TestF06SilentLoss: frames are lost and the carrier stays. A ping item finds it;
// without one there is an alarm, and never two with the VIPs.
func TestF06SilentLoss(t *testing.T) {
	p := share(t, pinged)
	must(t, p.a.SilentLoss(nettest.OutsideLink, nettest.BothWays))
	p.want("backup", "active")
	p.wantAlarm(p.a, "ping")
	p.serves()
	p.wantChanges(p.a, "active>backup handed_over")
	p.wantChanges(p.b, "backup>active peer_worse|role_free")
}

func TestF06SilentLossWithoutPings(t *testing.T) {
	p := share(t, plain)
	must(t, p.a.SilentLoss(nettest.OutsideLink, nettest.BothWays))
	p.wantAlarm(p.b, "segment_split")
	p.advertises(p.a, 20)
	p.want("active", "backup")
	p.healsUnmoved()
}

// TestF07OneWay: what is lost one way only is noticed by who does not hear, and as
// long as any path works one is active.
func TestF07OneWay(t *testing.T) {
	for _, way := range []struct {
		name string
		lost nettest.Direction
	}{{"a to b", nettest.Outbound}, {"b to a", nettest.Inbound}} {
		t.Run("network "+way.name, func(t *testing.T) {
			p := share(t, plain)
			must(t, p.a.SilentLoss(nettest.OutsideLink, way.lost))
			must(t, p.a.SilentLoss(nettest.InsideLink, way.lost))
			if way.lost == nettest.Outbound {
				p.wantAlarm(p.b, "segment_split")
			}
			p.advertises(p.a, 20)
			p.want("active", "backup")
			p.healsUnmoved()
		})
		t.Run("heartbeat "+way.name, func(t *testing.T) {
			p := share(t, plain)
			must(t, p.a.SilentLoss(nettest.HeartbeatLink, way.lost))
			hears, deaf := p.a, p.b
			if way.lost == nettest.Inbound {
				hears, deaf = p.b, p.a
			}
			p.wantAlarm(deaf, "heartbeat_link")
			p.wantAlarm(hears, "asymmetric")
			p.advertises(p.a, 20)
			p.want("active", "backup")
			p.healsUnmoved()
		})
	}
}

// TestF08HeartbeatCut: adverts alone keep the role where it is.
func TestF08HeartbeatCut(t *testing.T) {
	p := share(t, pinged)
	must(t, p.a.CableOut(nettest.HeartbeatLink))
	p.wantAlarm(p.a, "heartbeat_link")
	p.wantAlarm(p.b, "heartbeat_link")
	p.advertises(p.a, 20)
	p.want("active", "backup")
	p.serves()
	p.healsUnmoved()
}
