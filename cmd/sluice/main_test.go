package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"sluice/internal/config"
	"sluice/internal/node"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"sluice": scriptMain})
}

// leakChecked fails the package if goroutines outlive its tests.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// scriptMain is the program as the scripts run it: real but for its clock,
// which is a hundred times as patient, and for what package node does.
func scriptMain() {
	e := systemEnv()
	start := time.Now()
	e.now = func() time.Time { return epoch.Add(100 * time.Since(start)) }
	e.after = func(d time.Duration) <-chan time.Time { return time.After(d / 100) }
	e.runParent = func(_ context.Context, settings string) error {
		fmt.Println("parent of", settings)
		return nil
	}
	e.runNode = func(_ context.Context, args []string) error {
		fmt.Println("node with", strings.Join(args, " "))
		if args[0] == "-broken" {
			return errSaid
		}
		return nil
	}
	e.runVIP = func(_ context.Context, args []string) error {
		fmt.Println("vip with", strings.Join(args, " "))
		return nil
	}
	e.probe = func(_ context.Context, s *config.Settings) []node.Probed {
		var out []node.Probed
		for i, b := range s.Services[0].Backends {
			p := node.Probed{Service: s.Services[0].Name, Backend: b.Name, Addr: b.Addr, Found: "SSH-2.0-x"}
			if i == 1 {
				p.Found, p.Err = "", errors.New("does not accept PROXY v2")
			}
			out = append(out, p)
		}
		return out
	}
	e.doctor = func(_ context.Context, s *config.Settings) []finding {
		list := []finding{
			{levelPass, "kernel", "has all that is needed", ""},
			{levelWarn, "ext0", "runs in generic mode", "use a driver that knows XDP"},
		}
		if s.Services[0].Name == "broken" {
			list = append(list, finding{levelFail, "blue1", "no route", "add one"})
		}
		return list
	}
	e.detach = func(_ context.Context, pins string) ([]string, error) {
		if strings.HasSuffix(pins, "empty") {
			return nil, nil
		}
		return []string{"XDP program of ext0", pins}, nil
	}
	os.Exit(run(context.Background(), e, os.Args))
}
