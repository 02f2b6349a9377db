package node

import (
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/control"
	"sluice/vip"
	"sluice/vip/election"
)

// trio is gw-b's view of a virtual cluster of three, of which gw-a is active.
func trio(edit func(c *vip.ClusterStatus)) vip.Status {
	peer := func(node, state string, priority uint8, addr string) vip.PeerStatus {
		return vip.PeerStatus{
			Node: node, Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 8021), Known: true, Alive: true, State: state, Base: priority,
			Healthy: true, LinksOK: true, PingsOK: true, HearsUs: true, Synced: true,
		}
	}
	host := func(addr string) vip.PingHost { return vip.PingHost{Addr: netip.MustParseAddr(addr), OK: true} }
	c := vip.ClusterStatus{
		Name: "edge", State: "backup", Base: 150, Address: netip.MustParseAddr("169.254.1.0"),
		Peers: []vip.PeerStatus{peer("gw-a", "active", 200, "169.254.1.1"), peer("gw-c", "backup", 100, "169.254.1.2")},
		Links: []vip.LinkStatus{{Interface: "ext0"}, {Interface: "int0"}},
		Pings: []vip.PingStatus{
			{Interface: "ext0", OK: true, Hosts: []vip.PingHost{host("198.51.100.22")}},
			{Interface: "int0", OK: true, Hosts: []vip.PingHost{host("10.0.0.1"), host("10.0.0.2"), host("10.0.0.3")}},
		},
	}
	edit(&c)
	return vip.Status{Clusters: []vip.ClusterStatus{c}}
}

// selfActive makes gw-b the active one.
func selfActive(c *vip.ClusterStatus) { c.State, c.Peers[0].State = "active", "backup" }

func TestExplainFail(t *testing.T) {
	for _, c := range []struct {
		name      string
		edit      func(c *vip.ClusterStatus)
		what      string
		now, then string
		why       string
	}{
		{"active node", func(*vip.ClusterStatus) {}, "gw-a", "gw-a", "gw-b", "gw-b takes over"},
		{"active node, self", selfActive, "gw-b", "gw-b", "gw-a", "without gw-b its adverts and heartbeats end"},
		{"a backup", func(*vip.ClusterStatus) {}, "node:gw-c", "gw-a", "gw-a", "gw-a is active and no other serves better: it stays"},
		{"this backup", func(*vip.ClusterStatus) {}, "gw-b", "gw-a", "gw-a", "it stays"},
		{"active node, next silent", func(c *vip.ClusterStatus) { c.Faults = []string{"no listener"} }, "gw-a", "gw-a", "gw-c", "gw-c takes over"},
		{"active node, next impaired", func(c *vip.ClusterStatus) { c.Links[0].Problem = "link down" }, "gw-a", "gw-a", "gw-c", "gw-c takes over"},
		{"active node, others impaired", func(c *vip.ClusterStatus) { c.Links[0].Problem, c.Peers[1].PingsOK = "link down", false }, "gw-a", "gw-a", "gw-b", "takes over"},
		{"active node, peer not heard", func(c *vip.ClusterStatus) { c.Peers[1].Alive, c.Faults = false, []string{"x"} }, "gw-a", "gw-a", "", "no gateway could serve"},
		{"active node, peer with a fault", func(c *vip.ClusterStatus) { c.Peers[1].Healthy, c.Faults = false, []string{"x"} }, "gw-a", "gw-a", "", "no gateway could serve"},
		{"equal priorities by address", func(c *vip.ClusterStatus) { c.Base = 100 }, "gw-a", "gw-a", "gw-c", "takes over"},
		{"equal priorities, own address greater", func(c *vip.ClusterStatus) {
			c.Base, c.Address = 100, netip.MustParseAddr("169.254.1.9")
		}, "gw-a", "gw-a", "gw-b", "takes over"},
		{"nobody active", func(c *vip.ClusterStatus) { c.Peers[0].State = "init" }, "gw-a", "", "gw-b", "gw-b would be the first"},
		{"silent active node counts for nothing", func(c *vip.ClusterStatus) { c.Peers[0].Alive = false }, "gw-c", "", "gw-b", "would be the first"},

		{"preempt: a higher one is back", func(c *vip.ClusterStatus) { selfActive(c); c.Preempt = true }, "gw-c", "gw-b", "gw-a", "gw-a takes over"},
		{"no preempt: it stays", selfActive, "gw-c", "gw-b", "gw-b", "it stays"},
		{"preempt among impaired: it stays", func(c *vip.ClusterStatus) {
			selfActive(c)
			c.Preempt, c.Links[0].Problem, c.Peers[0].LinksOK, c.Peers[1].LinksOK = true, "link down", false, false
		}, "gw-c", "gw-b", "gw-b", "it stays"},

		{"own link, active", selfActive, "link:ext0", "gw-b", "gw-a", "without ext0 this gateway is impaired"},
		{"own link, backup", func(*vip.ClusterStatus) {}, "ext0", "gw-a", "gw-a", "it stays"},
		{"own link, active, others impaired", func(c *vip.ClusterStatus) {
			selfActive(c)
			c.Peers[0].LinksOK, c.Peers[1].PingsOK = false, false
		}, "int0", "gw-b", "gw-b", "it stays"},

		{"the only host", selfActive, "198.51.100.22", "gw-b", "gw-b", "all are impaired alike"},
		{"one of three", selfActive, "ping:10.0.0.2", "gw-b", "gw-b", "has another host that answers: nothing changes"},
		{"the last of three", func(c *vip.ClusterStatus) {
			selfActive(c)
			c.Pings[1].Hosts[0].OK, c.Pings[1].Hosts[2].OK = false, false
		}, "10.0.0.2", "gw-b", "gw-b", "no host of the ping item on int0 would answer"},
		{"the only host, preempt", func(c *vip.ClusterStatus) { selfActive(c); c.Preempt = true }, "198.51.100.22", "gw-b", "gw-b", "it stays"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := trio(c.edit)
			kind, name, err := control.ParseFail(c.what)
			if err != nil {
				t.Fatal(err)
			}
			q, err := found(s, "gw-b", control.FailQuestion{Kind: kind, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			got := outcome(s.Clusters[0], "gw-b", q)
			if got.Cluster != "edge" || got.Now != c.now || got.Then != c.then || !strings.Contains(strings.Join(got.Why, "\n"), c.why) {
				t.Errorf("%+v; want %q then %q because %q", got, c.now, c.then, c.why)
			}
		})
	}
}

func TestFailKinds(t *testing.T) {
	two := trio(func(*vip.ClusterStatus) {})
	dmz := trio(func(c *vip.ClusterStatus) {
		c.Name, c.Links, c.Peers = "dmz", []vip.LinkStatus{{Interface: "gw-a"}}, nil
	})
	two.Clusters = append(two.Clusters, dmz.Clusters...)
	for _, c := range []struct {
		q    control.FailQuestion
		want control.FailKind // "" is an error
	}{
		{control.FailQuestion{Name: "gw-a"}, control.FailNode},
		{control.FailQuestion{Name: "gw-b"}, control.FailNode},
		{control.FailQuestion{Name: "gw-a", Kind: control.FailLink}, control.FailLink},
		{control.FailQuestion{Name: "gw-a", Cluster: "dmz"}, control.FailLink},
		{control.FailQuestion{Name: "int0"}, control.FailLink},
		{control.FailQuestion{Name: "int0", Cluster: "edge"}, control.FailLink},
		{control.FailQuestion{Name: "10.0.0.3"}, control.FailPing},
		{control.FailQuestion{Name: "gw-d"}, ""},
		{control.FailQuestion{Name: "int0", Cluster: "dmz"}, ""},
		{control.FailQuestion{Name: "int0", Kind: control.FailNode}, ""},
		{control.FailQuestion{Name: "int0", Kind: control.FailPing}, ""},
		{control.FailQuestion{Name: "192.0.2.77"}, ""},
		{control.FailQuestion{Name: "gw-a", Cluster: "absent"}, ""},
	} {
		got, err := found(two, "gw-b", c.q)
		if err != nil && c.want == "" {
			if !control.IsCode(err, control.CodeNotFound) {
				t.Errorf("%+v: %v", c.q, err)
			}
			continue
		}
		if err != nil || got.Kind != c.want {
			t.Errorf("%+v: %q, %v; want %q", c.q, got.Kind, err, c.want)
		}
	}
}

// Orders are refused as a whole where one of their clusters would be left to
// nobody.
func TestChoose(t *testing.T) {
	s := trio(selfActive)
	alone := trio(func(c *vip.ClusterStatus) {
		selfActive(c)
		c.Name = "dmz"
		c.Peers = c.Peers[:1]
		c.Peers[0].Alive = false
	})
	s.Clusters = append(s.Clusters, alone.Clusters...)
	for _, c := range []struct {
		o    control.VIPOrder
		want int
		code control.Code
	}{
		{control.VIPOrder{Clusters: []string{"edge"}}, 1, ""},
		{control.VIPOrder{Clusters: []string{"dmz"}}, 0, control.CodeNoPeer},
		{control.VIPOrder{All: true}, 0, control.CodeNoPeer},
		{control.VIPOrder{All: true, Yes: true}, 2, ""},
		{control.VIPOrder{Clusters: []string{"edge", "absent"}, Yes: true}, 0, control.CodeNotFound},
	} {
		got, err := choose(s, c.o, election.Swap)
		if len(got) != c.want || c.code != "" && !control.IsCode(err, c.code) || c.code == "" && err != nil {
			t.Errorf("%+v: %d, %v", c.o, len(got), err)
		}
	}
	for _, edit := range []func(p *vip.PeerStatus){
		func(p *vip.PeerStatus) { p.Alive = false }, func(p *vip.PeerStatus) { p.Healthy = false }, func(p *vip.PeerStatus) { p.State = "fault" },
	} {
		s := trio(func(c *vip.ClusterStatus) { selfActive(c); edit(&c.Peers[0]); edit(&c.Peers[1]) })
		if hasSuccessor(s.Clusters[0]) {
			t.Errorf("%+v could follow", s.Clusters[0].Peers)
		}
	}
}
