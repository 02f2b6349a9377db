package failover

import (
	"fmt"
	"testing"

	"sluice/internal/nettest"
)

// TestF01PowerOff: the backup takes all VIPs over by itself, once the silence is
// long enough, and tells the network of each.
func TestF01PowerOff(t *testing.T) {
	p := share(t, pinged)
	outside, inside := listen(t, p.Client, nettest.HostLink), listen(t, p.Backends[0].Namespace, nettest.HostLink)
	must(t, p.a.PowerOff())
	p.eventually("gw-b is active", func() error { return p.b.is("active") })
	p.serves()
	p.wantChanges(p.b, "backup>active active_silent")
	for _, at := range []struct {
		heard *ear
		of    string
	}{{outside, p.VIP.V4.String()}, {inside, p.InsideVIP.V4.String()}} {
		p.eventually("the network is told of "+at.of, func() error {
			if n := at.heard.announced(at.of); n == 0 {
				return fmt.Errorf("no gratuitous ARP")
			}
			return nil
		})
	}

	p.recover(pinged) // and back: a backup first
	p.serves()
}

// TestF02KillTheDaemon: one that is started again goes on where it stopped, if it
// is quick; one that is not loses the role and, by their lease, the addresses.
func TestF02KillTheDaemon(t *testing.T) {
	p := share(t, pinged)
	must(t, p.a.Kill9("sluice", "vip"))
	p.oneActive()
	p.serves()
	p.home()

	t.Run("for good", func(t *testing.T) {
		parent := p.a.cmd.Process
		must(t, stopProcess(parent))
		must(t, p.a.Kill9("sluice", "vip"))
		p.eventually("gw-b is active", func() error { return p.b.is("active") })
		p.gone(p.a)
		p.serves()
		must(t, continueProcess(parent))
		p.want("backup", "active")
		p.serves()
	})
}

// TestF03Stopped: a daemon that does not run for a while is no longer active when
// it goes on, and sends nothing of what it meant to.
func TestF03Stopped(t *testing.T) {
	p := share(t, pinged)
	must(t, p.a.Stop("sluice", "vip"))
	p.eventually("gw-b is active", func() error { return p.b.is("active") })
	p.gone(p.a)
	p.serves()
	before := p.b.segment(nettest.OutsideLink).AdvertsIn
	must(t, p.a.Continue())
	p.want("backup", "active")
	p.advertises(p.b, 5)
	if after := p.b.segment(nettest.OutsideLink).AdvertsIn; after != before {
		t.Errorf("%d adverts of the one that was stopped came", after-before)
	}
	p.serves()
	p.wantChanges(p.a, "active>backup process_halted")
	p.wantChanges(p.b, "backup>active active_silent")
}

// TestF17Paused: all processes stop as when a virtual machine is paused. A gateway
// comes back as backup; where both were paused, one is active after.
func TestF17Paused(t *testing.T) {
	p := share(t, pinged)
	must(t, p.a.Stop("sluice"))
	p.eventually("gw-b is active", func() error { return p.b.is("active") })
	p.serves()
	must(t, p.a.Continue())
	p.want("backup", "active")
	p.serves()

	must(t, p.b.Stop("sluice"))
	must(t, p.a.Stop("sluice"))
	p.eventually("no word is open", func() error {
		for _, g := range p.each {
			if p.watch.isOpen(g, p.VIP.V4) {
				return fmt.Errorf("that of %s is", g.Label)
			}
		}
		return nil
	})
	must(t, p.a.Continue())
	must(t, p.b.Continue())
	p.oneActive()
	p.serves()
}
