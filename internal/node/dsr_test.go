package node

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// Backends that answer directly are checked on the path of their clients, over
// a veth pair that a real stop takes away again.
func TestDSRLife(t *testing.T) {
	vips := nettest.DefaultVIPs()
	r := newRig(t, nettest.GatewayOptions{DSR: vips[:1]})
	for _, b := range r.Backends[:2] { // the third one's server does not answer as the VIP
		nettest.ServeForTest(t, b.Namespace, r.vip(), nettest.ServerOptions{Banner: "SSH-2.0-" + b.Label + "\r\n", Echo: true})
	}
	r.write(r.settings(strings.Replace(r.login(0, 1, 2), "name: login", "name: login\n    mode: dsr", 1)))
	s := r.start()
	r.up(2)
	if who := r.banners(30); len(who) != 2 || who["b3"] != 0 {
		t.Errorf("30 connections reached %v", who)
	}
	list, err := r.client.Backends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list.Backends {
		if b.Addr == r.backend(2) && (b.State != control.StateDown || b.Health != "failing") {
			t.Errorf("the one without the VIP is %+v", b)
		}
	}
	k := r.talk()
	s.signal(syscall.SIGKILL)
	<-s.exited
	before := r.status("orphan", func(control.Status) bool { return true })
	s = r.start()
	r.status("the next node", func(now control.Status) bool { return now.PID != before.PID })
	r.up(2)
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if who := r.banners(2); who["b3"] != 0 { // its checks fail still, the others' pass
			t.Fatalf("connections reached %v", who)
		}
	}
	r.up(2)
	k.goesOn()
	s.signal(syscall.SIGTERM)
	if code := s.ended(); code != 0 {
		t.Errorf("exit %d", code)
	}
	links, err := r.GW.Netlink().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "sluice") {
			t.Errorf("interface %s is left", l.Attrs().Name)
		}
	}
	r.noManagedNeighbours(t)
}

// noManagedNeighbours: the kernel would go on asking for them.
func (r *rig) noManagedNeighbours(t *testing.T) {
	t.Helper()
	list, err := r.GW.Netlink().NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if n.FlagsExt&netlink.NTF_EXT_MANAGED != 0 {
			addr, _ := netip.AddrFromSlice(n.IP)
			t.Errorf("the kernel still keeps %s resolved", addr)
		}
	}
}
