package control

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSelectionExpands(t *testing.T) {
	many := make([]string, 0, MaxNodeSet)
	for i := range MaxNodeSet {
		many = append(many, fmt.Sprintf("n%d", i+1))
	}
	for _, tt := range []struct {
		name string
		in   Selection
		want []string
	}{
		{"all", Selection{All: true}, nil},
		{"all of a service", Selection{All: true, Service: "sftp"}, nil},
		{"names", Selection{Backends: []string{"blue", "red"}}, []string{"blue", "red"}},
		{"sets", Selection{Backends: []string{"blue[1-2],red", "blue[2-3]"}}, []string{"blue1", "blue2", "red", "blue3"}},
		{"addresses", Selection{Backends: []string{"[fd00::1]:22", "10.0.0.11:22"}}, []string{"[fd00::1]:22", "10.0.0.11:22"}},
		{"as many as may be", Selection{Backends: []string{"n[1-8192]", "n[8193-16384]"}}, many},
	} {
		s := tt.in
		if err := s.expand(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, s.Backends); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSelectionRefuses(t *testing.T) {
	for name, s := range map[string]Selection{
		"nothing":        {},
		"service alone":  {Service: "sftp"},
		"both":           {Backends: []string{"blue"}, All: true},
		"empty name":     {Backends: []string{""}},
		"a broken set":   {Backends: []string{"blue", "red[1"}},
		"two halves":     {Backends: []string{"blue[1", "2]"}},
		"too many":       {Backends: []string{"n[1-16384]", "m"}},
		"many too often": {Backends: slices.Repeat([]string{"n[1-16384]"}, 20000)},
	} {
		if err := s.expand(); !IsCode(err, CodeInvalid) {
			t.Errorf("%s: error %v, want one of code invalid", name, err)
		}
	}
}

func TestBackendChangeChanged(t *testing.T) {
	for want, changes := range map[bool][]BackendChange{
		true:  {{StateWas: StateUp, State: StateDraining}, {WeightWas: 1, Weight: 2}},
		false: {{}, {StateWas: StateUp, State: StateUp, WeightWas: 1, Weight: 1, FlowsNow: 7}},
	} {
		for _, c := range changes {
			if c.Changed() != want {
				t.Errorf("%+v: changed is not %t", c, want)
			}
		}
	}
}

func ExampleExpandNodeSet() {
	names, err := ExpandNodeSet("blue[1-3],red[08-10/2]")
	fmt.Println(names, err)
	_, err = ExpandNodeSet("blue[1-")
	fmt.Println(err)
	// Output:
	// [blue1 blue2 blue3 red08 red10] <nil>
	// expand node set "blue[1-": name "blue[1-": "[" without "]"
}
