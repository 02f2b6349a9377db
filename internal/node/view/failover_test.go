package view

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/control"
	"sluice/vip"
)

// fill gives every field another value than its zero value, and no two numbers the
// same, so that none can be left out or mixed up unseen.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, byte(*n >> 8), byte(*n)})))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(*n >> 8), byte(*n)}), 24)))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, byte(*n)}), uint16(*n))))
		return
	case time.Time:
		v.Set(reflect.ValueOf(at.Add(time.Duration(*n) * time.Hour)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("word" + string(rune('a'+*n%26)) + string(rune('a'+*n/26%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(uint64(*n) % 256)
	default:
		v.SetInt(*n % 256)
	}
}

func TestVirtualClusters(t *testing.T) {
	var c vip.ClusterStatus
	n := int64(0)
	fill(reflect.ValueOf(&c).Elem(), &n)
	c.Alarms[0].Name = "two_active"
	got := VirtualClusters(vip.Status{Clusters: []vip.ClusterStatus{c}})[0]
	p, l, item, h := c.Peers[0], c.LANs[0], c.Pings[0], c.Pings[0].Hosts[0]
	want := control.VirtualCluster{
		Name: c.Name, VRID: uint8(c.VRID), State: control.VIPState(c.State), Since: c.Since, Cause: c.Cause, Reason: c.Reason, Term: c.Term,
		Priority: control.Priority{Base: c.Base, Effective: c.Current}, Preempt: true, Faults: c.Faults, Changes: c.Changes,
		VIPs: control.List[control.VIP]{{Addr: c.VIPs[0].Addr, Interface: c.VIPs[0].Interface, MAC: c.VIPs[0].MAC, Owner: true}},
		Peers: control.List[control.GatewayPeer]{{
			Node: p.Node, Addr: p.Addr, State: control.VIPState(p.State), Priority: p.Base, Effective: p.Current, Alive: true, Age: control.Seconds(p.Age),
			HearsUs: true, LossIn: p.LossIn, LossOut: p.LossOut, PingsOK: true, Synced: true, Version: p.Version, Generation: p.Generation,
		}},
		Segments: control.List[control.Segment]{{Interface: l.Interface, Family: "ipv6", AdvertsIn: l.In, AdvertsOut: l.Out, OtherChecksum: l.Mismatch, Refused: l.Refused, ActiveAddr: l.ActiveAddr}},
		Pings:    control.List[control.PingItem]{{Interface: item.Interface, OK: true, Hosts: control.List[control.PingHost]{{Addr: h.Addr, OK: true, RTT: control.Seconds(h.RTT), Loss: h.Loss, Flaps: h.Flaps}}}},
		Links:    control.List[control.Link]{{Interface: c.Links[0].Interface}},
		Alarms: control.List[control.ClusterAlarm]{{
			Name: "two_active", Severity: "critical", Since: c.Alarms[0].Since, Text: c.Alarms[0].Text, Hint: alarmHints["two_active"],
		}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.Links[0].Problem, c.Faults, c.LANs[0].IPv6 = "", nil, false
	got = VirtualClusters(vip.Status{Clusters: []vip.ClusterStatus{c}})[0]
	if !got.Eligible || !got.Links[0].Up || got.Segments[0].Family != "ipv4" {
		t.Errorf("a sound one: %+v", got)
	}
	if list := VirtualClusters(vip.Status{}); list == nil || len(list) != 0 {
		t.Errorf("none: %v", list)
	}
}

// Every alarm that vip can raise has a hint, and every hint is for one of them.
func TestAlarmHints(t *testing.T) {
	raised := map[string]bool{}
	for file, pattern := range map[string]string{"election/alarm.go": `raise\("([a-z_]+)"`, "alarms.go": `up\("([a-z_]+)"`} {
		text, err := os.ReadFile(filepath.Join("../../../vip", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			raised[found[1]] = true
		}
	}
	if len(raised) < 10 {
		t.Errorf("only %d alarms were found", len(raised))
	}
	for name := range raised {
		if alarmHints[name] == "" {
			t.Errorf("alarm %q has no hint", name)
		}
	}
	for name := range alarmHints {
		if !raised[name] {
			t.Errorf("there is no alarm %q", name)
		}
	}
	for name := range alarmSeverity {
		if !raised[name] {
			t.Errorf("there is no alarm %q", name)
		}
	}
}

func TestHistory(t *testing.T) {
	changes := []vip.Change{
		{Time: at, Cluster: "edge", From: "backup", To: "active", Cause: "role_free", Reason: "nobody was active", Term: 1},
		{Time: later, Cluster: "dmz", From: "active", To: "fault", Cause: "fault", Reason: "x", Term: 2},
	}
	want := []control.StateChange{
		{At: at, Cluster: "edge", StateWas: "backup", State: "active", Term: 1, Cause: "role_free", Reason: "nobody was active"},
		{At: later, Cluster: "dmz", StateWas: "active", State: "fault", Term: 2, Cause: "fault", Reason: "x"},
	}
	for cluster, list := range map[string][]control.StateChange{"": want, "edge": want[:1], "dmz": want[1:], "absent": {}} {
		if diff := cmp.Diff(list, History(changes, cluster)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", cluster, diff)
		}
	}
}
