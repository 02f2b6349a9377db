package ping

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// linkLocal is the link-local address of a host.
func (w *world) linkLocal(t *testing.T, n int) netip.Addr {
	t.Helper()
	addrs, err := w.hosts[n].Netlink().AddrList(nil, 10)
	must(t, err)
	for _, a := range addrs {
		if addr, _ := netip.AddrFromSlice(a.IP); addr.IsLinkLocalUnicast() {
			return addr.WithZone("ext0")
		}
	}
	t.Fatal("no link-local address")
	return netip.Addr{}
}

func TestHostsAnswer(t *testing.T) {
	w := newWorld(t, 2)
	i := item("outside", host4(0), host6(0), w.linkLocal(t, 0), host4(1), host6(1))
	r := w.run(t, i, item("again", host4(0)))
	r.untilTold(t, "all answer", func(s Status) bool {
		for _, h := range s.Hosts {
			if !h.Up || !h.Known {
				return false
			}
		}
		return fine(s)
	})
	r.until(t, "all answer time and again", func(s Status) bool {
		for _, h := range s.Hosts {
			if h.Answered < 3 || h.RTT <= 0 || h.Sent < h.Answered {
				return false
			}
		}
		return true
	})
	if s := r.Snapshot()[1]; s.Hosts[0].Answered == 0 {
		t.Errorf("the same host in another item: %+v", s)
	}
}

// One of three may be down; all three may not. It is the example of the seed.
func TestAllMustFail(t *testing.T) {
	w := newWorld(t, 3)
	r := w.run(t, item("inside", host4(0), host6(1), host4(2)))
	r.untilTold(t, "all answer", func(s Status) bool { return fine(s) && s.Hosts[2].Known && s.Hosts[1].Known && s.Hosts[0].Known })
	silence(t, w.hosts[0], true)
	r.untilTold(t, "one is down", func(s Status) bool { return !s.Hosts[0].Up })
	if s := r.Snapshot()[0]; !s.OK || s.Fails != 0 {
		t.Errorf("one of three is down: %+v", s)
	}
	silence(t, w.hosts[1], true)
	silence(t, w.hosts[2], true)
	r.untilTold(t, "all are down", failed)
	if s := r.Snapshot()[0]; s.Fails != 1 || s.Since.IsZero() || s.Hosts[0].Fault != "" || s.Hosts[0].Lost == 0 {
		t.Errorf("after the outage: %+v", s)
	}
	silence(t, w.hosts[1], false)
	r.untilTold(t, "one is back", fine)
	if s := r.Snapshot()[0]; s.Hosts[0].Up || !s.Hosts[1].Up {
		t.Errorf("one is back: %+v", s)
	}
}

func TestLinkDown(t *testing.T) {
	w := newWorld(t, 1)
	r := w.run(t, item("outside", host4(0), w.linkLocal(t, 0)))
	r.untilTold(t, "it answers", fine)
	must(t, w.gateway.Down("ext0"))
	r.untilTold(t, "the link is down", failed)
	r.until(t, "the status says so", func(s Status) bool { return strings.Contains(s.Hosts[0].Fault, `interface "ext0" is down`) })
	must(t, w.gateway.Up("ext0"))
	r.untilTold(t, "the link is up", fine)
	must(t, w.exchange.Down("gw"))
	r.untilTold(t, "the carrier is gone", failed)
	r.until(t, "the status says so", func(s Status) bool { return strings.Contains(s.Hosts[0].Fault, "no carrier") })
	must(t, w.exchange.Up("gw"))
	r.untilTold(t, "the carrier is back", fine)
}

func TestInterfaceComesAndGoes(t *testing.T) {
	w := newWorld(t, 1)
	old, err := w.gateway.Netlink().LinkByName("ext0")
	must(t, err)
	must(t, w.gateway.Netlink().LinkDel(old))
	r := w.run(t, item("outside", host4(0)))
	for range 2 {
		r.untilTold(t, "there is no interface", failed)
		r.until(t, "the status says so", func(s Status) bool {
			return strings.Contains(s.Hosts[0].Fault, `"ext0"`) && strings.Contains(s.Hosts[0].Fault, "no such device")
		})
		w.plug(t, w.gateway, "gw", "ext0", 100)
		r.untilTold(t, "there is one", fine)
		old, err = w.gateway.Netlink().LinkByName("ext0")
		must(t, err)
		must(t, w.gateway.Netlink().LinkDel(old))
	}
}

// What cannot be sent is a miss.
func TestNoRoute(t *testing.T) {
	w := newWorld(t, 1)
	r := w.run(t, item("outside", netip.MustParseAddr("2001:db8::1")))
	r.untilTold(t, "it fails", failed)
	if s := r.Snapshot()[0]; !strings.Contains(s.Hosts[0].Fault, "network is unreachable") || !strings.Contains(s.Hosts[0].Fault, "2001:db8::1") {
		t.Errorf("the status is %+v", s)
	}
	must(t, w.gateway.SetRoute(netip.MustParsePrefix("2001:db8::/64"), host6(0)))
	must(t, w.hosts[0].AddAddr("lo", netip.MustParsePrefix("2001:db8::1/128")))
	r.untilTold(t, "there is a route", fine)
}

// A target behind two interfaces, which both could be used.
func TestOtherInterfaces(t *testing.T) {
	w := newWorld(t, 1)
	far := w.hosts[0]
	must(t, nettest.Veth(w.gateway, "int0", far, "back0"))
	must(t, w.gateway.AddAddr("int0", netip.MustParsePrefix("10.8.0.1/24")))
	must(t, far.AddAddr("back0", netip.MustParsePrefix("10.8.0.2/24")))
	must(t, w.gateway.Settled(t.Context()))
	target := netip.MustParsePrefix("203.0.113.9/32")
	must(t, far.AddAddr("lo", target))
	// Without a way by an interface the kernel asks who there is the target.
	must(t, far.SetSysctl("net/ipv4/conf/all/arp_ignore", "1"))

	// The table has a way to it, but by the other interface.
	must(t, w.gateway.SetRoute(target, netip.MustParseAddr("10.8.0.2")))
	outside := item("outside", target.Addr())
	inside := outside
	inside.Name, inside.Interface = "inside", "int0"
	r := w.run(t, outside, inside)
	eventually(t, "it answers by int0", func() bool { return fine(r.Snapshot()[1]) }, func() string { return "" })
	// With a way by ext0 the echo arrives, and the answer takes the other.
	r.untilTold(t, "it does not by ext0", failed)
	must(t, w.gateway.SetRoute(target, host4(0)))
	must(t, far.SetRoute(netip.PrefixFrom(host4(100), 32), netip.MustParseAddr("10.8.0.1")))
	before := r.Snapshot()[0].Hosts[0]
	r.until(t, "some more are sent", func(s Status) bool { return s.Hosts[0].Sent > before.Sent+10 })
	if s := r.Snapshot()[0]; s.OK || s.Hosts[0].Answered != before.Answered {
		t.Errorf("answers by int0 count for ext0: %+v", s)
	}
	must(t, far.DelRoute(netip.PrefixFrom(host4(100), 32)))
	r.untilTold(t, "it answers by ext0", fine)
}

// A probe is answered at once and changes nothing of what is known of a host.
func TestProbe(t *testing.T) {
	w := newWorld(t, 1)
	i := item("outside", host4(0), host6(0))
	i.Interval, i.Timeout = time.Hour, time.Second
	r := w.prepare(t, i)
	answers := make(chan struct{}, 100)
	r.OnAnswer(func() { answers <- struct{}{} })
	w.start(t, r)
	r.untilTold(t, "both answer", func(s Status) bool { return s.Hosts[0].Known && s.Hosts[1].Known })
	<-answers
	<-answers
	before := r.Snapshot()[0]
	for range 3 {
		r.Probe()
		<-answers
		<-answers
	}
	if after := r.Snapshot()[0]; !reflect.DeepEqual(before, after) {
		t.Errorf("probes changed %+v to %+v", before, after)
	}
}
