package steering

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

func TestStatusMergesABackendOverItsServices(t *testing.T) {
	r := newRig(t)
	two := addrPort("192.0.2.4:22")
	r.apply(serving("b1*3"), at(serving("b1", "b2*0"), "two", two.String()))
	r.allUp()
	r.flow(vip)
	client, _ := r.flow(two)
	r.dp.fin(client, two)
	s := r.status()
	if len(s.Backends) != 2 || len(s.Services) != 2 {
		t.Fatalf("%d backends, %d services", len(s.Backends), len(s.Services))
	}
	b1, b2 := s.Backends[0], s.Backends[1]
	want := Counters{PacketsIn: 4, BytesIn: 240, FlowsOpened: 2, FlowsClosed: 1, SYNs: 2}
	if b1.Counters != want || b1.FlowsNow != 1 || b1.Weight != 3 || b1.UpperBound {
		t.Errorf("b1 is %+v, want counters %+v", b1, want)
	}
	if diff := cmp.Diff([]string{"ssh", "two"}, b1.Services); diff != "" {
		t.Errorf("its services (-want +got):\n%s", diff)
	}
	if b2.State != StateUp || b2.Weight != 0 || b2.Counters != (Counters{}) {
		t.Errorf("b2 is %+v", b2)
	}
	ssh := s.Services[0]
	if ssh.Flows != (Counters{PacketsIn: 2, BytesIn: 120, FlowsOpened: 1, SYNs: 1}) || ssh.FlowsNow != 1 ||
		ssh.Counters != (ServiceCounters{PacketsIn: 2, BytesIn: 120, SYNs: 1}) {
		t.Errorf("service is %+v", ssh)
	}
	if m := s.Services[1].Members; m[0].Share != 1 || m[1].Share != 0 || m[0].FlowsNow != 0 {
		t.Errorf("members are %+v", m)
	}
}

func TestStatusOrder(t *testing.T) {
	r := newRig(t)
	r.apply(at(serving("b9"), "z", "192.0.2.9:22"), at(serving("b3", "b1"), "a", "192.0.2.4:22"), serving("b2"))
	r.allUp()
	r.flow(addrPort("192.0.2.9:22"))
	r.apply(serving("b2"), at(serving("b3"), "a", "192.0.2.4:22"))
	var services, members, backends []string
	for _, s := range r.status().Services {
		services = append(services, fmt.Sprint(s.Name, " ", s.Removed))
		for _, m := range s.Members {
			members = append(members, fmt.Sprint(m.Name, " ", m.State))
		}
	}
	for _, b := range r.status().Backends {
		backends = append(backends, fmt.Sprint(b.Name, " ", b.State))
	}
	for _, tt := range []struct{ want, got []string }{
		{[]string{"ssh false", "a false", "z true"}, services},
		{[]string{"b2 up", "b3 up", "b1 removed", "b9 removed"}, members},
		{[]string{"b1 removed", "b2 up", "b3 up", "b9 removed"}, backends},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	}
}

func TestFlowsNowInDSRIsAnUpperBound(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1"), dsr), at(serving("b1", "b2"), "nat", "192.0.2.4:22"))
	s := r.status()
	if !s.Backends[0].UpperBound || s.Backends[1].UpperBound || !s.Services[0].UpperBound || s.Services[1].UpperBound {
		t.Errorf("upper bounds of %+v", s)
	}
}

func TestAlarmWhereNobodyIsUp(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"), config.Service{Name: "login", Listen: addrPort("192.0.2.9:22"), Mode: config.ModeSSHD})
	r.allUp()
	if got := r.status().Alarms; len(got) != 0 {
		t.Errorf("alarms are %+v", got)
	}
	r.clock.advance(time.Minute)
	r.down("b1")
	got := r.alarms("service ssh")
	if len(got) != 1 || got[0].Severity != SeverityCritical || !got[0].Since.Equal(r.clock.now()) {
		t.Errorf("alarms are %+v", got)
	}
	r.up("b1")
	if got := r.status().Alarms; len(got) != 0 {
		t.Errorf("alarms are %+v", got)
	}
}

func TestAlarmsKeepTheirAgeAndOrder(t *testing.T) {
	c := &clock{}
	a := alarms{now: c.now}
	a.raise("x", Alarm{Severity: SeverityWarning, Subject: "x"})
	c.advance(time.Second)
	a.raise("y", Alarm{Severity: SeverityWarning, Subject: "y"})
	a.raise("x", Alarm{Severity: SeverityWarning, Subject: "x", Text: "again"})
	c.advance(time.Second)
	a.raise("z", Alarm{Severity: SeverityCritical, Subject: "z"})
	a.clear("none")
	list := a.list()
	if fmt.Sprint(list[0].Subject, list[1].Subject, list[2].Subject) != "zxy" || list[1].Text != "again" || !list[1].Since.Equal(clockStart) {
		t.Errorf("alarms are %+v", list)
	}
	a.clear("x")
	if len(a.list()) != 2 {
		t.Error("a cleared alarm stands")
	}
}

// The counters of one moment and the ledger of another would credit a backend
// with what another one counted.
func TestStatusNeverMixesLedgers(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.flow(vip)
	passed := false
	r.dp.fault = func(call string) error {
		if call != "MemberCounters " || passed {
			return nil
		}
		// The id goes to another backend, which counts with it.
		passed = true
		next := r.table.model.Load().clone()
		next.ledger = next.ledger.edit()
		next.ledger.Members.release(1, Counters(r.dp.memberCounts[1]))
		next.ledger.Members.claim(1, memberKey{vip, backendAddr("b9")}, Counters(r.dp.memberCounts[1]))
		r.table.model.Store(next)
		c := r.dp.memberCounts[1]
		c.PacketsIn += 100
		r.dp.memberCounts[1] = c
		return nil
	}
	if got := r.backend("b1").Counters.PacketsIn; got != 2 {
		t.Errorf("%d packets are shown, 2 were counted", got)
	}
}

func TestStatusErrors(t *testing.T) {
	r := newRig(t)
	r.dp.fault = func(string) error { return errInjected }
	if _, err := r.table.Status(); err == nil {
		t.Error("no error without counters")
	}
}

func BenchmarkStatus(b *testing.B) {
	for _, n := range []int{100, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := benchTable(b, n)
			for b.Loop() {
				if _, err := t.Status(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
