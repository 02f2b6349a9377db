package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"sluice/internal/nettest"
)

const (
	// readyWithin is how long it may take until the dataplane is loaded and the
	// health checks have found every backend.
	readyWithin = 30 * time.Second
	// stopWithin is how long a real stop may take before it is forced.
	stopWithin = 10 * time.Second
	// pollEvery leaves time for others: each look starts a program.
	pollEvery = 200 * time.Millisecond
)

// sluice is the program under show: "sluice run" as a process in the gateway's
// namespace, and its commands.
type sluice struct {
	// program is what runs, socket where it listens for commands, log what it
	// writes to.
	program, socket, log string
	// ns is the gateway's.
	ns *nettest.Namespace
	// patience is how long stop waits before it uses force.
	patience time.Duration
	daemon   *nettest.Cmd
	ended    chan struct{} // closed when the daemon has ended
}

// What the lab reads of the --json answers: the names that scripts rely on, and
// none of the product's own types, so that a renamed field is noticed here.
type (
	statusAnswer struct {
		PID         int `json:"pid"`
		Attachments []struct {
			Interface, Mode string
		} `json:"attachments"`
	}
	backendsAnswer struct {
		Backends []backend `json:"backends"`
	}
	backend struct {
		Name        string `json:"name"`
		State       string `json:"state"`
		PacketsIn   uint64 `json:"packets_in"`
		BytesIn     uint64 `json:"bytes_in"`
		PacketsOut  uint64 `json:"packets_out"`
		BytesOut    uint64 `json:"bytes_out"`
		FlowsOpened uint64 `json:"flows_opened"`
		FlowsNow    uint64 `json:"flows_now"`
	}
)

// startSluice writes the settings, starts "sluice run" and waits until it steers
// to every backend.
func (l *lab) startSluice(ctx context.Context) error {
	settings, err := l.writeSettings()
	if err != nil {
		return err
	}
	l.report.line("settings", "%s", settings)
	l.sluice = &sluice{
		program:  l.options.sluice,
		socket:   l.site.file("control.sock"),
		log:      l.site.file("sluice.log"),
		ns:       l.network.GW,
		patience: stopWithin,
	}
	if err := l.sluice.start(settings); err != nil {
		return fmt.Errorf("start sluice run: %v", err)
	}
	status, err := l.sluice.ready(ctx)
	if err != nil {
		return err
	}
	var modes []string
	for _, a := range status.Attachments {
		modes = append(modes, fmt.Sprintf("%s (%s)", a.Interface, a.Mode))
	}
	l.report.line("steering", "XDP on %s, node process %d, all backends up", strings.Join(modes, ", "), status.PID)
	return nil
}

// start starts the daemon. Its end is up to stop, not to a context: killed, it
// would rightly leave the dataplane running.
func (s *sluice) start(settings string) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	daemon := s.ns.Command(context.Background(), s.program, "run", "-c", settings)
	daemon.Stdout, daemon.Stderr = log, log
	// Ctrl-C is for the lab, which stops it in its turn.
	daemon.SysProcAttr.Setpgid = true
	if err := daemon.Start(); err != nil {
		return err
	}
	s.daemon, s.ended = daemon, make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = daemon.Wait() // that it ended and what it said is enough
	}()
	return nil
}

// stop is a real stop: the daemon takes XDP off and removes its pins.
func (s *sluice) stop() error {
	if s.daemon == nil {
		return nil
	}
	_ = s.daemon.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
		return nil
	case <-time.After(s.patience):
	}
	_ = s.daemon.Process.Kill()
	<-s.ended
	return fmt.Errorf("stop sluice run: it did not end within %v%s", s.patience, s.lastWords())
}

// ready returns when the node answers and all backends are up.
func (s *sluice) ready(ctx context.Context) (statusAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var status statusAnswer
	err := s.poll(ctx, func() error { return s.query(ctx, &status, "status") })
	if err != nil {
		return status, fmt.Errorf("wait for sluice run: %w%s", err, s.lastWords())
	}
	// Health checks need their rises before anything is steered.
	err = s.poll(ctx, func() error {
		backends, err := s.backends(ctx)
		if err != nil {
			return err
		}
		for name, b := range backends {
			if b.State != "up" {
				return fmt.Errorf("backend %s is %s", name, b.State)
			}
		}
		return nil
	})
	if err != nil {
		return status, fmt.Errorf("wait for backends: %w%s", err, s.lastWords())
	}
	return status, nil
}

// poll tries until it succeeds, the daemon has ended or ctx has; then the last
// failure says what was missing.
func (s *sluice) poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var missing error
	for {
		err := try()
		if err == nil {
			return nil
		}
		// An attempt that ctx cut off says nothing new.
		if ctx.Err() == nil || missing == nil {
			missing = err
		}
		select {
		case <-s.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %v", ctx.Err(), missing)
		case <-tick.C:
		}
	}
}

// command prepares a sluice command that talks to the lab's node.
func (s *sluice) command(ctx context.Context, args ...string) *nettest.Cmd {
	cmd := s.ns.Command(ctx, s.program, args...)
	cmd.Env = append(os.Environ(), "SLUICE_SOCKET="+s.socket)
	cmd.SysProcAttr.Setpgid = true
	return cmd
}

// do runs a sluice command and returns what it printed; its complaints, hints
// included, are in the error.
func (s *sluice) do(ctx context.Context, args ...string) ([]byte, error) {
	cmd := s.command(ctx, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("sluice %s: %v: %s", strings.Join(args, " "), err, oneLine(complaint.String()))
	}
	return out.Bytes(), nil
}

// query runs a sluice command that reads, and decodes its --json answer.
func (s *sluice) query(ctx context.Context, answer any, args ...string) error {
	args = append(args, "--json")
	out, err := s.do(ctx, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("sluice %s: %v", strings.Join(args, " "), err)
	}
	return nil
}

// backends returns the backends by name, as "sluice show backends" does.
func (s *sluice) backends(ctx context.Context) (map[string]backend, error) {
	var answer backendsAnswer
	if err := s.query(ctx, &answer, "show", "backends"); err != nil {
		return nil, err
	}
	backends := make(map[string]backend)
	for _, b := range answer.Backends {
		backends[b.Name] = b
	}
	return backends, nil
}

// lastWords is the end of the daemon's log, which is gone with the lab: whoever
// sees the error has nothing else to look at.
func (s *sluice) lastWords() string {
	const enough = 600
	log, err := os.ReadFile(s.log)
	log = bytes.TrimSpace(log)
	if err != nil || len(log) == 0 {
		return ""
	}
	return "\nsluice run said:\n" + string(log[max(0, len(log)-enough):])
}

// oneLine joins the lines of an error and its hints.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; ")
}
