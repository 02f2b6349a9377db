package address

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary also plays other processes of these tests: which one is said
// by its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		roles := map[string]func() error{"tour": playTour, "hold": playHold}
		if role, known := roles[os.Args[1]]; known {
			if err := role(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

// samplePlan is the VIPs of the tests' gateways, for a child process too.
func samplePlan() Plan {
	return Plan{Cluster: "edge", VRID: 51, VIPs: []VIP{
		{Addr: vip4, Interface: outside, MAC: VirtualMAC(51, vip4.Addr())},
		{Addr: vip6, Interface: outside, MAC: VirtualMAC(51, vip6.Addr())},
	}}
}

// barePlan is the same without virtual MACs.
func barePlan() Plan {
	p := samplePlan()
	for i := range p.VIPs {
		p.VIPs[i].MAC = nil
	}
	return p
}

// playTour does everything a set does, once.
func playTour() error {
	host, err := Open()
	if err != nil {
		return err
	}
	defer host.Close()
	plan := samplePlan()
	plan.Lease = 100 * time.Second
	s, err := host.New(plan)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"prepare", s.Prepare}, {"take", s.Take}, {"announce", s.Announce},
		{"renew", func() error { _, err := s.Renew(); return err }},
		{"release", s.Release}, {"close", func() error { return s.Close(true) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %v", step.name, err)
		}
	}
	return nil
}

// playHold takes the VIPs for ever, says so and waits to be killed. A second
// argument leaves the virtual MACs out.
func playHold() error {
	host, err := Open()
	if err != nil {
		return err
	}
	plan := samplePlan()
	if len(os.Args) > 2 {
		plan = barePlan()
	}
	s, err := host.New(plan)
	if err != nil {
		return err
	}
	if err := s.Prepare(); err != nil {
		return err
	}
	if err := s.Take(); err != nil {
		return err
	}
	fmt.Println("held")
	select {}
}
