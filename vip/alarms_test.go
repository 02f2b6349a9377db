package vip

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/vip/election"
)

// What stands keeps its beginning, whoever asks how often; what comes again begins
// anew.
func TestSigns(t *testing.T) {
	var s signs
	a, b := sign{name: "adverts", object: "ext0", text: "no buffers"}, sign{name: "adverts", object: "int0"}
	other := a
	other.text = "no route"
	for _, step := range []struct {
		at   time.Duration
		seen []sign
		want []time.Duration
	}{
		{1, []sign{a}, []time.Duration{1}},
		{2, []sign{b, other}, []time.Duration{2, 1}},
		{3, []sign{b}, []time.Duration{2}},
		{4, []sign{a, b}, []time.Duration{4, 2}},
		{5, nil, nil},
	} {
		s.refresh(step.at, slices.Clone(step.seen))
		var got []time.Duration
		for i, one := range s {
			got = append(got, one.since)
			if one.text != step.seen[i].text {
				t.Errorf("at %d: %+v", step.at, one)
			}
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("at %d: since %v, want %v", step.at, got, step.want)
		}
	}
}

func TestStrayText(t *testing.T) {
	s := stray{"ext0", netip.MustParsePrefix("192.0.2.3/24")}
	for state, want := range map[election.State]string{
		election.Active: "192.0.2.3/24 lies on ext0, where no election put it: it stays there when another gateway has the role",
		election.Backup: "192.0.2.3/24 lies on ext0 though this gateway is not active: it may answer for the VIP there, and send from it",
	} {
		if got := s.text(state); got != want {
			t.Errorf("%v: %q", state, got)
		}
	}
	if got := s.String(); got != "192.0.2.3/24 dev ext0" {
		t.Errorf("object %q", got)
	}
}

// strayAlarms are those of a gateway, by what they are about.
func strayAlarms(s ClusterStatus) map[string]AlarmStatus {
	up := map[string]AlarmStatus{}
	for _, a := range s.Alarms {
		if a.Name == "stray_vip" {
			up[a.Object] = a
		}
	}
	return up
}

// F18: a VIP that somebody else puts on a physical interface is told of, on the
// backup and on the active one, once and for as long as it lies there; it is never
// taken away, and moves no role.
func TestStrayVIP(t *testing.T) {
	d := newDuo(t)
	a, b := d.startBoth(quick)
	vip := netip.PrefixFrom(d.VIP.V4, 24)
	for _, p := range []*part{a, b} {
		if up := strayAlarms(p.status()); len(up) > 0 {
			t.Errorf("%s: %+v", p.gw.Label, up)
		}
		must(t, p.gw.AddAddr("int0", vip))
		first := p.until("alarmed", func(s ClusterStatus) bool { return len(strayAlarms(s)) == 1 })
		was := strayAlarms(first)[vip.String()+" dev int0"]
		if !strings.Contains(was.Text, vip.String()+" lies on int0") || time.Since(was.Since).Abs() > patience {
			t.Errorf("%s: %+v", p.gw.Label, first.Alarms)
		}
		// A second one comes and goes; the first stays.
		must(t, p.gw.AddAddr("ext0", vip))
		p.until("alarmed twice", func(s ClusterStatus) bool { return len(strayAlarms(s)) == 2 })
		must(t, p.gw.DelAddr("ext0", vip))
		p.until("alarmed once", func(s ClusterStatus) bool { return len(strayAlarms(s)) == 1 && strayAlarms(s)[was.Object].Text != "" })
		if !p.holdsOn(vip, "int0") {
			t.Errorf("%s: somebody else's address was taken away", p.gw.Label)
		}
		must(t, p.gw.DelAddr("int0", vip))
		p.until("well", func(s ClusterStatus) bool { return len(strayAlarms(s)) == 0 })
		text, err := os.ReadFile(filepath.Join(p.dir, "log"))
		must(t, err)
		if n := strings.Count(string(text), "lies where no election put it"); n != 2 {
			t.Errorf("%s: logged %d times", p.gw.Label, n)
		}
	}
	if a.status().State != "active" || b.status().State != "backup" {
		t.Error("the role moved")
	}
}

// holdsOn says whether an interface of the gateway has an address.
func (p *part) holdsOn(addr netip.Prefix, link string) bool {
	p.t.Helper()
	l, err := p.gw.Netlink().LinkByName(link)
	must(p.t, err)
	list, err := p.gw.Netlink().AddrList(l, 0)
	must(p.t, err)
	for _, a := range list {
		if a.IPNet.String() == addr.String() {
			return true
		}
	}
	return false
}
