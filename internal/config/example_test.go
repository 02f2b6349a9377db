package config_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"sluice/internal/config"
)

// Everything that is wrong comes back at once, each with its place and what to
// do about it.
func ExampleParse() {
	_, err := config.Parse("sluice.yaml", []byte(`
services:
  - listen: 192.0.2.3
    backend: [10.0.0.11]
    mode: nat
`))
	fmt.Println(err)
	if faults, ok := errors.AsType[*config.Faults](err); ok {
		fmt.Println(len(faults.List), "faults, the first in line", faults.List[0].Line)
	}
	// Output:
	// sluice.yaml:3:5: services[0]: has no backends, which mode nat needs; add backends: ["10.0.0.11:22"]
	// sluice.yaml:3:13: services[0].listen: "192.0.2.3" has no port; write "192.0.2.3:22"
	// sluice.yaml:4:5: services[0].backend: unknown key; did you mean backends?
	// 3 faults, the first in line 3
}

func ExampleDiff() {
	parse := func(text string) *config.Settings {
		s, err := config.Parse("sluice.yaml", []byte(text))
		if err != nil {
			panic(err)
		}
		return s
	}
	before := parse(`services: [{name: sftp, listen: "192.0.2.3:22", backends: ["10.0.0.11:22"]}]`)
	after := parse(`
dataplane: {max_flows: 1048576}
services: [{name: sftp, listen: "192.0.2.3:22", backends: [{addr: "10.0.0.11:22", weight: 5}]}]`)
	for _, c := range config.Diff(before, after) {
		fmt.Printf("%s: %s -> %s, restart %v\n", c.Path, c.Old, c.New, c.NeedsRestart)
	}
	// Output:
	// dataplane.max_flows: 262144 -> 1048576, restart true
	// services[sftp].backends[10.0.0.11:22].weight: 1 -> 5, restart false
}

// TestParseTogether holds that reading shares nothing: neither between
// goroutines nor, through the defaults, between the settings that come out.
func TestParseTogether(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				s, err := config.Parse("reference.yaml", config.Reference())
				if err != nil {
					t.Error(err)
					return
				}
				if s.Services[0].Backends[0].Weight != 2 || s.Dataplane.Interfaces[0] != "ext0" {
					t.Errorf("got\n%s", s.YAML())
				}
				s.Services[0].Backends[0].Weight, s.Dataplane.Interfaces[0] = 7, "lo"
				s.Nodes["gw-a"]["inside"] = "lo"
				_, _ = config.Schema(), s.YAML()
			}
		})
	}
	wg.Wait()
}
