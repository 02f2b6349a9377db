package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sluice/internal/nettest"
)

// contender is what makes a VIP highly available.
type contender interface {
	// name is what its rows are called.
	name() string
	// relay says what carries connections from the VIP to the backends.
	relay() string
	// needs are the programs that must be there.
	needs() []string
	// start starts it on a gateway and returns when it takes part: the first
	// as active, the others as backups.
	start(context.Context, *side) error
	// stop ends it as an administrator would.
	stop(context.Context, *side) error
	// kill9 kills what holds the VIP, as a crash would.
	kill9(context.Context, *side) error
	// boot removes what a power failure would have and a fault cannot: files
	// outside of the gateway.
	boot(*side) error
	// revive starts again what does not run and should, as a service manager
	// would.
	revive(context.Context, *side) error
}

// side is one gateway of a trial with what runs on it.
type side struct {
	*nettest.ClusterGateway
	trial     *trial
	number    int // 0 is the one that is preferred
	dir       string
	processes []*process
}

// priority is the VRRP priority: the first gateway is to be active.
func (s *side) priority() int { return 150 - 50*s.number }

// run starts one more program in the gateway.
func (s *side) run(program string, args ...string) (*process, error) {
	p, err := startProcess(s.Namespace, filepath.Join(s.dir, filepath.Base(program)+".log"), program, args...)
	if err != nil {
		return nil, fmt.Errorf("start %s on %s: %v", program, s.Label, err)
	}
	s.processes = append(s.processes, p)
	return p, nil
}

// end stops all that runs, the last first.
func (s *side) end() error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		errs = append(errs, p.stop())
	}
	s.processes = nil
	return errors.Join(errs...)
}

// running says whether a program runs that was started here.
func (s *side) running(program string) bool {
	return slices.ContainsFunc(s.processes, func(p *process) bool { return p.program == program && p.running() })
}

// write writes a file of the gateway's.
func (s *side) write(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// until polls until a condition holds, and says what was missing.
func until(ctx context.Context, within time.Duration, cond func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		missing := cond()
		if missing == nil {
			return nil
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("%w; last: %w", err, missing)
		}
	}
}
