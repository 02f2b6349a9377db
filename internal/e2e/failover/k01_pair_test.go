package failover

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// TestK01HotStandby: two gateways from one set of settings; the one that is ended
// in order is replaced by the other, with all that it served.
func TestK01HotStandby(t *testing.T) {
	p := share(t, pinged)
	p.a.stop()
	p.want("off", "active")
	p.serves()
	if p.a.has(p.VIP.V4) || !p.b.has(p.VIP.V4) {
		t.Error("the VIP lies on the wrong gateway")
	}
	p.recover(pinged)
}

// TestK02Blackout: who leaves in order says so, and nobody waits for the silence
// that a death takes; how long each takes is tools/bench's to measure.
func TestK02Blackout(t *testing.T) {
	p := share(t, pinged)
	_, err := p.a.try("vip", "swap", "--all")
	must(t, err)
	p.want("backup", "active")
	p.serves()
	p.wantChanges(p.a, "active>backup order")
	p.wantChanges(p.b, "backup>active role_free")
}

// TestK03WithoutVirtualMAC: where a hypervisor lets no other MAC out, the VIPs have
// the interfaces' own, and a failover tells the network so.
func TestK03WithoutVirtualMAC(t *testing.T) {
	p := share(t, with(plain, "    vrid: 51\n", "    vrid: 51\n    virtual_mac: off\n"))
	for _, active := range []*gateway{p.a, p.b} {
		want, err := active.MAC(nettest.OutsideLink)
		must(t, err)
		p.eventually("the client has the MAC of "+active.Label, func() error {
			if err := p.pinged(p.Client, p.VIP.V4); err != nil {
				return err
			}
			if got := p.neighbour(p.VIP.V4); got != want.String() {
				return fmt.Errorf("it has %s, not %s", got, want)
			}
			return nil
		})
		p.serves()
		if out := p.run(active.Namespace, "ip -o link show type macvlan"); out != "" {
			t.Errorf("%s has macvlans:\n%s", active.Label, out)
		}
		if active == p.a {
			_, err := p.a.try("vip", "swap", "--all")
			must(t, err)
			p.want("backup", "active")
		}
	}
}

// TestK06Heartbeat: the gateways know of each other by their own link, also when
// no network works between them.
func TestK06Heartbeat(t *testing.T) {
	p := share(t, plain)
	t.Cleanup(func() { p.part(false) })
	p.part(true)
	p.wantAlarm(p.b, "segment_split")
	for i, g := range p.each {
		c, err := g.cluster()
		must(t, err)
		if len(c.Peers) != 1 {
			t.Fatalf("%s shows %d peers", g.Label, len(c.Peers))
		}
		want := []control.GatewayPeer{
			{Node: "gw-b", State: control.VIPBackup, Priority: 100, Effective: 100},
			{Node: "gw-a", State: control.VIPActive, Priority: 150, Effective: 150},
		}[i]
		got := c.Peers[0]
		if got.Node != want.Node || got.State != want.State || got.Priority != want.Priority || got.Effective != want.Effective ||
			!got.Alive || !got.HearsUs || !got.PingsOK || got.Age <= 0 {
			t.Errorf("%s shows its peer as %+v", g.Label, got)
		}
	}
	p.want("active", "backup")
	p.wantChanges(p.a)
}

// TestK12OneInterface: the fault of one interface moves the VIPs of all.
func TestK12OneInterface(t *testing.T) {
	p := share(t, plain)
	must(t, p.a.CableOut(nettest.InsideLink))
	p.want("backup", "active")
	p.gone(p.a)
	for _, v := range []nettest.Pair{p.VIP, p.InsideVIP} {
		if !p.b.has(v.V4) {
			t.Errorf("%s is not on gw-b", v.V4)
		}
	}
	p.serves()
	p.wantChanges(p.b, "backup>active peer_worse|role_free")
}

// TestK13Pings: an interface is tested through itself. That the host is reached by
// another one proves nothing.
func TestK13Pings(t *testing.T) {
	p := share(t, pinged)
	must(t, p.a.SilentLoss(nettest.OutsideLink, nettest.BothWays))
	p.run(p.a.Namespace, "ip route replace default via 10.0.2.254")
	t.Cleanup(func() { p.run(p.a.Namespace, "ip route replace default via 192.0.2.254") })
	p.eventually("the host is reached by the other interface", func() error { return p.gateways.pinged(p.a.Namespace, p.Beyond.V4) })
	p.want("backup", "active")
	p.wantAlarm(p.a, "ping")
	p.serves()
}

// TestK14AllMustFail is the example of the seed: the host outside decides alone,
// of those inside one may fail.
func TestK14AllMustFail(t *testing.T) {
	p := share(t, pinged)
	p.mute(p.a, true, p.Backends[1])
	t.Cleanup(func() { p.mute(p.a, false, p.Backends[1]) })
	p.eventually("one host inside is silent", func() error { return p.a.pingIs(1, 1, false) })
	p.advertises(p.a, 10)
	p.want("active", "backup")
	p.run(p.Router, "ip route add blackhole 192.0.2.1/32")
	t.Cleanup(func() { p.run(p.Router, "ip route del blackhole 192.0.2.1/32") })
	p.want("backup", "active")
	p.serves()
	p.wantChanges(p.b, "backup>active peer_worse|role_free")
}

// TestK16K17PhysicalInterface: VIPs lie on interfaces of their own above the
// physical ones, which stay as they are and whose state counts.
func TestK16K17PhysicalInterface(t *testing.T) {
	p := share(t, plain)
	before := p.physical()
	if at := p.macvlan(p.a, p.VIP.V4); !strings.Contains(p.run(p.a.Namespace, "ip -o addr show dev "+at), p.VIP.V4.String()) {
		t.Errorf("the VIP is not on %s", at)
	}
	_, err := p.a.try("vip", "swap", "--all")
	must(t, err)
	p.want("backup", "active")
	if got := p.physical(); !slices.Equal(got, before) {
		t.Errorf("physical addresses became\n%s\nthey were\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
	}
	p.run(p.b.Namespace, "ip link set "+nettest.InsideLink+" down")
	t.Cleanup(func() { p.run(p.b.Namespace, "ip link set "+nettest.InsideLink+" up") })
	p.want("active", "backup")
	p.wantAlarm(p.b, "link")
}

// physical lists the addresses of the gateways' own interfaces.
func (p *pair) physical() []string {
	p.t.Helper()
	var list []string
	for _, g := range p.each {
		for _, link := range []string{nettest.OutsideLink, nettest.InsideLink, nettest.HeartbeatLink} {
			for _, line := range strings.Split(p.run(g.Namespace, "ip -o -4 addr show dev "+link), "\n") {
				if f := strings.Fields(line); len(f) > 3 {
					list = append(list, g.Label+" "+link+" "+f[3])
				}
			}
		}
	}
	return list
}

// TestK18K19SameMAC: a client's neighbour entry is the same after a failover,
// and switches learn from frames of that MAC where it is now.
func TestK18K19SameMAC(t *testing.T) {
	p := share(t, plain)
	const mac = "00:00:5e:00:01:33"
	if got := p.neighbour(p.VIP.V4); got != mac {
		t.Errorf("the client has %s for the VIP, want %s", got, mac)
	}
	ear := listen(t, p.Ext, p.b.Label)
	_, err := p.a.try("vip", "swap", "--all")
	must(t, err)
	p.want("backup", "active")
	p.serves()
	if got := p.neighbour(p.VIP.V4); got != mac {
		t.Errorf("after the failover the client has %s for the VIP, want %s", got, mac)
	}
	p.eventually("gw-b sends from the virtual MAC", func() error {
		if !ear.from(p.VIP.V4.String(), mac) {
			return errors.New("it did not yet")
		}
		return nil
	})
	p.eventually("the switch has learnt it", func() error {
		for _, line := range strings.Split(p.run(p.Ext, "bridge fdb show br bridge"), "\n") {
			if strings.HasPrefix(line, mac+" dev gw-b ") {
				return nil
			}
		}
		return errors.New("it knows the MAC elsewhere")
	})
}

// TestK27Sample runs the sample of the packages. Its interfaces are called as those
// of the test's gateways are.
func TestK27Sample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "tools", "packaging", "samples", "cluster.yaml"))
	must(t, err)
	sample := strings.NewReplacer("HEART-BEAT", nettest.HeartbeatLink, "EXT", nettest.OutsideLink, "INT", nettest.InsideLink).Replace(string(text))
	all := newGateways(t, nettest.ClusterOptions{}, "")
	all.text = func(g *gateway) string {
		name := strings.Replace(g.Label, "gw-", "fw-", 1)
		return fmt.Sprintf("node: {name: %s, data_dir: %s, bpffs: %s, control: {socket: %s}}\n%s",
			name, filepath.Join(g.dir, "data"), filepath.Join(g.bpffs, "sluice"), g.socket(), sample)
	}
	backends(t, all.Cluster)
	all.start()
	watch := observe(t, all)
	t.Cleanup(watch.end)
	all.serves()
	must(t, all.each[0].CableOut(nettest.OutsideLink))
	all.want("backup", "active")
	all.serves()
	must(t, all.each[0].Restore())
	all.want("active", "backup")
	all.serves()
}
