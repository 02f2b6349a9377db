package address

import (
	"strings"
	"testing"

	"sluice/internal/nettest"
)

func sysctl(t *testing.T, n *nettest.Namespace, key string) string {
	t.Helper()
	value, err := n.Sysctl("net/" + key)
	must(t, err)
	return value
}

// A9, D10, D16: what keeps neighbours from learning a wrong MAC, and the macvlan
// from speaking for itself, whatever new interfaces begin with.
func TestSettings(t *testing.T) {
	n := gateway(t)
	for key, value := range map[string]string{
		"ipv4/conf/default/rp_filter": "1", "ipv4/conf/all/rp_filter": "1", "ipv4/conf/default/arp_filter": "1",
		"ipv6/conf/default/accept_ra": "1", "ipv6/conf/default/accept_dad": "1", "ipv6/conf/default/disable_ipv6": "1",
	} {
		must(t, n.SetSysctl("net/"+key, value))
	}
	s := keep(t, n, samplePlan())
	s.do(s.Prepare)
	want := map[string]string{"ipv4/conf/ext0/arp_announce": "2", "ipv4/conf/ext0/arp_ignore": "1", "ipv4/conf/int0/arp_ignore": "0"}
	for i, p := range s.places {
		four, six := "ipv4/conf/"+p.name+"/", "ipv6/conf/"+p.name+"/"
		for key, value := range map[string]string{
			four + "arp_announce": "2", four + "arp_ignore": "1", four + "rp_filter": "2", four + "arp_filter": "0",
			six + "accept_ra": "0", six + "accept_dad": "0", six + "autoconf": "0", six + "addr_gen_mode": "1",
			six + "disable_ipv6": []string{"1", "0"}[i],
		} {
			want[key] = value
		}
	}
	for key, value := range want {
		if got := sysctl(t, n, key); got != value {
			t.Errorf("%s is %s, want %s", key, got, value)
		}
	}
	s.do(s.Take)
	if !s.held() {
		t.Error("the VIPs are not held")
	}
	for _, p := range s.places {
		if got := see(t, n); len(got.on(mustIndex(t, n, p.name))) != 1 {
			t.Errorf("%s has addresses of its own: %v", p.name, got.on(mustIndex(t, n, p.name)))
		}
	}
}

func mustIndex(t *testing.T, n *nettest.Namespace, name string) int {
	t.Helper()
	index, err := n.Index(name)
	must(t, err)
	return index
}

// Settings of a physical interface go back to what they were when the last set
// that needs them is closed, also when it has another name by then.
func TestSettingsAreRestored(t *testing.T) {
	n := gateway(t)
	must(t, n.SetSysctl("net/ipv4/conf/ext0/arp_announce", "1"))
	host := openHost(t, n)
	one, other := keepOf(t, n, host, samplePlan()), keepOf(t, n, host, otherPlan())
	one.do(one.Prepare, one.Prepare)
	other.do(other.Prepare)
	both := func() string {
		return sysctl(t, n, "ipv4/conf/ext0/arp_announce") + sysctl(t, n, "ipv4/conf/ext0/arp_ignore")
	}
	one.do(func() error { return one.Close(true) })
	if got := both(); got != "21" {
		t.Errorf("one set left: %s, want 21", got)
	}
	other.do(func() error { return other.Close(true) })
	if got := both(); got != "10" {
		t.Errorf("no set left: %s, want 10", got)
	}
	for _, l := range see(t, n).links {
		if _, ours := l.owner(); ours {
			t.Errorf("%q was left", l.name)
		}
	}
}

// otherPlan is another cluster on the same interface, without virtual MACs.
func otherPlan() Plan {
	p := barePlan()
	p.Cluster, p.VRID = "other", 52
	for i := range p.VIPs {
		p.VIPs[i].Addr = netipNext(p.VIPs[i].Addr)
	}
	return p
}

// A setting of all interfaces that would keep VIPs from being answered for is an
// error that names it.
func TestSettingOfAllInTheWay(t *testing.T) {
	for key, value := range map[string]string{"arp_ignore": "2", "arp_filter": "1"} {
		n := gateway(t)
		must(t, n.SetSysctl("net/ipv4/conf/all/"+key, value))
		s := keep(t, n, samplePlan())
		err := n.Do(s.Prepare)
		if err == nil || !strings.Contains(err.Error(), "conf/all/"+key+" is "+value) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A setting that this kernel does not have is no error; one of an interface that
// has gone is.
func TestUnknownSetting(t *testing.T) {
	n := gateway(t)
	sc := see(t, n)
	l, _ := sc.named(outside)
	must(t, n.Do(func() error {
		_, err := setting{"ipv4", "arp_of_the_future", 1, 99, 1}.set(l)
		return err
	}))
	l.name = "ext9"
	if err := n.Do(func() error { _, err := quiet[0].set(l); return err }); err == nil {
		t.Error("no error for an interface that does not exist")
	}
}
