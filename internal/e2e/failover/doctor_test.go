package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// diagnosis is what `sluice doctor` says, a line each: level, subject, text.
type diagnosis []string

// doctor runs it on a gateway. That a check failed is no error.
func (g *gateway) doctor() diagnosis {
	g.all.t.Helper()
	out, err := g.try("doctor", "--json", "-c", g.file())
	var list struct {
		Findings []struct{ Level, Subject, Text string }
	}
	if json.Unmarshal([]byte(out), &list) != nil || len(list.Findings) == 0 {
		g.all.t.Errorf("doctor on %s: %v: %s", g.Label, err, out)
	}
	var d diagnosis
	for _, f := range list.Findings {
		d = append(d, strings.Join([]string{f.Level, f.Subject, f.Text}, "|"))
	}
	return d
}

// doctors runs it on all gateways at once.
func (all *gateways) doctors() []diagnosis {
	list := make([]diagnosis, len(all.each))
	var running sync.WaitGroup
	for i, g := range all.each {
		running.Go(func() { list[i] = g.doctor() })
	}
	running.Wait()
	if all.t.Failed() {
		all.t.FailNow()
	}
	return list
}

// about are the findings about a subject.
func (d diagnosis) about(subject string) string {
	var list []string
	for _, line := range d {
		if strings.Contains(line, "|"+subject+"|") {
			list = append(list, line)
		}
	}
	return strings.Join(list, "\n")
}

// rules loads nftables rules.
func rules(t *testing.T, n *nettest.Namespace, text string) {
	t.Helper()
	cmd := n.Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\n" + text)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, said)
	}
}

// A pair that is well has no finding about its virtual cluster, and what others do
// to it has its name (K3, K5, K15, F21).
func TestDoctor(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	all := newGateways(t, nettest.ClusterOptions{}, with(edge, "services:", `    pings: [{interface: ext0, hosts: [192.0.2.254, "2001:db8:1::254"]}]
services:`, "vips: [", `vips: [{addr: "2001:db8:1::3/64", interface: ext0}, `))
	all.start()
	a, b := all.each[0], all.each[1]
	all.eventually("both hear each other", func() error {
		for _, g := range all.each {
			c, err := g.cluster()
			if err != nil || len(c.Peers) != 1 || !c.Peers[0].Alive || !c.Peers[0].HearsUs {
				return fmt.Errorf("%s: %+v, %v", g.Label, c.Peers, err)
			}
			for _, s := range c.Segments {
				if c.State == control.VIPBackup && !s.ActiveAddr.IsValid() {
					return fmt.Errorf("%s hears no advert on %s yet", g.Label, s.Interface)
				}
			}
		}
		return nil
	})
	both := all.doctors()
	for i, d := range both {
		for subject, pass := range map[string]string{
			"VIP 192.0.2.3": "", "VIP 10.0.2.3": "", "VIP 2001:db8:1::3": "", "heartbeat of edge": "is heard and hears this gateway", "ping 1 of edge": "all hosts answer",
			"virtual MAC on ext0": "the network lets one pass", "virtual MAC on ext0, IPv6": "the network lets one pass",
			"virtual MAC on int0": "the network lets one pass", "firewall": "no nftables rule",
			"cluster key": "the same as of the gateways",
		} {
			if said := d.about(subject); !strings.HasPrefix(said, "pass|") || strings.Contains(said, "\n") || !strings.Contains(said, pass) {
				t.Errorf("%s: %s: %q", all.each[i].Label, subject, said)
			}
		}
	}
	if said := both[0].about("VIP 192.0.2.3"); !strings.Contains(said, "this gateway is active") {
		t.Errorf("on the active one: %q", said)
	}
	if said := both[1].about("adverts on ext0"); !strings.Contains(said, "pass|adverts on ext0|those of gw-a are heard from "+a.Ext.V4.String()) {
		t.Errorf("on the backup: %q", said)
	}

	// The switch lets frames of one MAC address through, as hypervisors do; the
	// backup has a firewall; a third machine has the VIP as its own.
	mac, err := b.MAC("ext0")
	must(t, err)
	rules(t, all.Ext, "table netdev t {\nchain c {\ntype filter hook ingress device \""+b.Label+"\" priority 0;\nether saddr != "+mac.String()+" drop;\n}\n}\n")
	rules(t, b.Namespace, "table inet f {\nchain in {\ntype filter hook input priority 0; policy drop;\niifname \"lo\" accept\nct state established accept\nicmp type echo-reply accept\nudp dport 8021 accept\n}\n}\n")
	must(t, all.Client.AddAddr("eth0", netip.PrefixFrom(all.VIP.V4, 24)))
	must(t, all.Client.AddAddr("eth0", netip.PrefixFrom(all.VIP.V6, 64)))
	all.eventually("the backup hears no adverts", func() error {
		c, err := b.cluster()
		if err != nil || c.State != control.VIPBackup || len(c.Segments) == 0 || c.Segments[0].ActiveAddr.IsValid() {
			return fmt.Errorf("%+v, %v", c.Segments, err)
		}
		return nil
	})
	both = all.doctors()
	for subject, text := range map[string]string{
		"virtual MAC on ext0": "but no other one", "virtual MAC on ext0, IPv6": "but no other one", "VIP 2001:db8:1::3": "have it", "firewall": "drops adverts that come by ext0", "adverts on ext0": "no ipv4 advert of gw-a is heard",
		"VIP 192.0.2.3": "have it",
	} {
		if said := both[1].about(subject); !strings.HasPrefix(said, "fail|") || !strings.Contains(said, text) {
			t.Errorf("on the backup: %s: %q", subject, said)
		}
	}
	if said := both[1].about("firewall"); !strings.Contains(said, "drops flow sync") || strings.Contains(said, "heartbeats") {
		t.Errorf("with a firewall: %q", said)
	}
	for _, vip := range []string{"VIP 192.0.2.3", "VIP 2001:db8:1::3"} {
		if said := both[0].about(vip); !strings.HasPrefix(said, "fail|") || !strings.Contains(said, "on the network of ext0 has it, too") {
			t.Errorf("on the active one, beside a second holder: %q", said)
		}
	}
}
