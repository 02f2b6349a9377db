package view

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/steering"
)

func TestOrders(t *testing.T) {
	s := Selection(control.Selection{Backends: []string{"blue"}, All: true, Service: "login"})
	if diff := cmp.Diff(steering.Selection{Backends: []string{"blue"}, All: true, Service: "login"}, s); diff != "" {
		t.Error(diff)
	}
	o := DrainOptions(control.DrainOptions{Deadline: control.Duration(time.Hour), IdleDone: control.Duration(time.Minute), Yes: true})
	if diff := cmp.Diff(steering.DrainOptions{Deadline: time.Hour, IdleDone: time.Minute, Yes: true}, o); diff != "" {
		t.Error(diff)
	}
	got := BackendChanges([]steering.BackendChange{{
		Name: "blue", Addr: blue, Services: []string{"login"}, StateWas: steering.StateUp, State: steering.StateDraining,
		WeightWas: 1, Weight: 2, FlowsNow: 3,
	}})
	want := []control.BackendChange{{
		Name: "blue", Addr: blue, Services: []string{"login"}, StateWas: control.StateUp, State: control.StateDraining,
		WeightWas: 1, Weight: 2, FlowsNow: 3,
	}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsChanges(t *testing.T) {
	got := SettingsChanges([]config.Change{{Path: "a.b", Old: "1", New: "2", NeedsRestart: true}})
	if diff := cmp.Diff([]control.Change{{Path: "a.b", Old: "1", New: "2", NeedsRestart: true}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestError(t *testing.T) {
	for want, err := range map[control.Code]error{
		control.CodeLastBackend: fmt.Errorf("drain: %w for service", steering.ErrLastBackend),
		control.CodeNotFound:    fmt.Errorf("backend %q: %w", "x", steering.ErrUnknown),
		control.CodeInvalid:     fmt.Errorf("explain: %w", steering.ErrNeedListen),
		control.CodeUnavailable: fmt.Errorf("drain: %w", steering.ErrNotReady),
	} {
		got := Error(err)
		if !control.IsCode(got, want) || got.Error() != err.Error() {
			t.Errorf("%v became %#v, want code %s", err, got, want)
		}
		var refusal *control.Error
		if errors.As(got, &refusal) && refusal.Hint == "" {
			t.Errorf("%v has no hint", err)
		}
	}
	other := errors.New("write map: no memory")
	if got := Error(other); got != other {
		t.Errorf("another error became %v", got)
	}
	if Error(nil) != nil {
		t.Error("no error became one")
	}
}

func TestFaults(t *testing.T) {
	_, err := config.Parse("f.yaml", []byte("node: {nam: x}\nservices: [{listen: 1}]\n"), config.Hostname("h"))
	if err == nil {
		t.Fatal("faulty settings were read")
	}
	got := Faults(err)
	var refusal *control.Error
	if !errors.As(got, &refusal) || refusal.Code != control.CodeInvalidSettings || len(refusal.Details) < 2 {
		t.Fatalf("%#v", got)
	}
	for _, d := range refusal.Details {
		if !strings.HasPrefix(d, "f.yaml:") {
			t.Errorf("detail %q names no place", d)
		}
	}
	other := errors.New("read settings: denied")
	if got := Faults(other); got != other {
		t.Errorf("another error became %v", got)
	}
}
