package control

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNodeWithoutVirtualClusters(t *testing.T) {
	m := &memory{}
	o := m.options()
	o.Failover = nil
	c := dial(t, serve(t, New(o)))
	if list, err := c.VirtualClusters(t.Context()); err != nil || list.VirtualClusters == nil || len(list.VirtualClusters) != 0 {
		t.Errorf("vips %+v, %v", list, err)
	}
	if h, err := c.History(t.Context(), HistoryQuery{}); err != nil || h.Changes == nil || len(h.Changes) != 0 {
		t.Errorf("history %+v, %v", h, err)
	}
	if _, err := c.History(t.Context(), HistoryQuery{Limit: MaxHistory + 1}); !IsCode(err, CodeInvalid) {
		t.Errorf("history over the limit: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
	for name, call := range map[string]func() error{
		"swap":    func() error { _, err := c.Swap(t.Context(), VIPOrder{All: true}); return err },
		"resign":  func() error { _, err := c.Resign(t.Context(), VIPOrder{All: true}); return err },
		"explain": func() error { _, err := c.ExplainFail(t.Context(), FailQuestion{Name: "gw-a"}); return err },
	} {
		if err := call(); !IsCode(err, CodeNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Alarms of virtual clusters are the node's, in status and in the list of
// alarms, the critical ones first.
func TestAlarmsOfVirtualClusters(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	own := Alarm{Severity: SeverityWarning, Subject: "ext0", Text: "runs in generic mode", Since: at}
	m := &memory{status: Status{Alarms: []Alarm{own}}, clusters: []VirtualCluster{{Name: "edge", Alarms: []ClusterAlarm{
		{Name: "one_way", Text: "gw-b does not hear us", Hint: "look", Since: at},
		{Name: "two_active", Severity: SeverityCritical, Text: "gw-b is active, too", Since: at},
	}}}}
	c := dial(t, serve(t, New(m.options())))
	want := []Alarm{
		{Severity: SeverityCritical, Subject: "virtual cluster edge", Text: "gw-b is active, too", Since: at},
		own,
		{Severity: SeverityWarning, Subject: "virtual cluster edge", Text: "gw-b does not hear us", Hint: "look", Since: at},
	}
	list, err := c.Alarms(t.Context())
	if diff := cmp.Diff(want, []Alarm(list.Alarms)); diff != "" || err != nil {
		t.Errorf("%v, alarms (-want +got):\n%s", err, diff)
	}
	status, err := c.Status(t.Context())
	if diff := cmp.Diff(want, []Alarm(status.Alarms)); diff != "" || err != nil {
		t.Errorf("%v, alarms of the status (-want +got):\n%s", err, diff)
	}
	if len(m.status.Alarms) != 1 {
		t.Error("what the source returned was changed")
	}
	m.noClusters = errors.New("vip.sock: connection refused")
	list, err = c.Alarms(t.Context())
	if err != nil || len(list.Alarms) != 2 || list.Alarms[0].Text != "cannot be read: vip.sock: connection refused" || list.Alarms[0].Severity != SeverityCritical {
		t.Errorf("alarms %+v, %v", list, err)
	}
	// It is as old as it is, however often somebody asks, and young when it is back.
	first := list.Alarms[0].Since
	if again, err := c.Alarms(t.Context()); err != nil || !again.Alarms[0].Since.Equal(first) {
		t.Errorf("it began at %v, then at %+v, %v", first, again.Alarms, err)
	}
	m.noClusters = nil
	if _, err := c.Alarms(t.Context()); err != nil {
		t.Error(err)
	}
	m.noClusters = errors.New("vip.sock: connection refused")
	if back, err := c.Alarms(t.Context()); err != nil || !back.Alarms[0].Since.After(first) {
		t.Errorf("it is back since %+v, before %v, %v", back.Alarms, first, err)
	}
}

func TestParseFail(t *testing.T) {
	for text, want := range map[string]FailQuestion{
		"gw-a":           {Name: "gw-a"},
		"node:gw-a":      {Kind: FailNode, Name: "gw-a"},
		"link:ext0.7":    {Kind: FailLink, Name: "ext0.7"},
		"ping:fd00::1":   {Kind: FailPing, Name: "fd00::1"},
		"fd00::1":        {Name: "fd00::1"},
		"ping:node:gw-a": {Kind: FailPing, Name: "node:gw-a"},
	} {
		kind, name, err := ParseFail(text)
		got := FailQuestion{Kind: kind, Name: name}
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "node:", "a b", "a\x7f", "a\n", string(make([]byte, 256))} {
		if kind, name, err := ParseFail(text); err == nil {
			t.Errorf("%q was read as %s %q", text, kind, name)
		}
	}
}

// What is read is written again as it was.
func FuzzParseFail(f *testing.F) {
	f.Add("ping:fd00::1")
	f.Add("node:node:")
	f.Fuzz(func(t *testing.T, text string) {
		kind, name, err := ParseFail(text)
		if q := (FailQuestion{Kind: kind, Name: name}); err == nil && q.String() != text {
			t.Errorf("%q came back as %q", text, q)
		}
	})
}
