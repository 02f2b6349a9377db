package nettest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Kill9 kills the processes of the gateway whose command line begins with these
// words, the program's name without its folder: "sluice", "vip". It is an error
// if there is none.
func (g *ClusterGateway) Kill9(words ...string) error {
	_, err := g.signal(unix.SIGKILL, words)
	return err
}

// Stop freezes the processes that [ClusterGateway.Kill9] would kill, until
// Continue or Restore.
func (g *ClusterGateway) Stop(words ...string) error {
	stopped, err := g.signal(unix.SIGSTOP, words)
	g.stopped = append(g.stopped, stopped...)
	return err
}

// Continue has the processes that Stop froze go on, all of them.
func (g *ClusterGateway) Continue() error {
	var errs []error
	for _, p := range g.stopped {
		err := unix.PidfdSendSignal(p.fd, unix.SIGCONT, nil, 0)
		// ESRCH: it was killed meanwhile.
		if err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("continue process %d: %v", p.pid, err))
		}
		unix.Close(p.fd)
	}
	g.stopped = nil
	return errors.Join(errs...)
}

// signal sends one to the processes with such a command line, and returns those
// that SIGSTOP holds with their descriptors open.
func (g *ClusterGateway) signal(s unix.Signal, words []string) (held []process, err error) {
	if err := expendable(g.id); err != nil {
		return nil, err
	}
	all, err := processesIn(g.id)
	if err != nil {
		return nil, err
	}
	found := 0
	var errs []error
	for _, p := range all {
		if !commandBegins(p.pid, words) {
			unix.Close(p.fd)
			continue
		}
		found++
		if err := unix.PidfdSendSignal(p.fd, s, nil, 0); err != nil {
			errs = append(errs, fmt.Errorf("signal process %d: %v", p.pid, err))
		}
		if s == unix.SIGSTOP {
			held = append(held, p)
			continue
		}
		unix.Close(p.fd)
	}
	if found == 0 {
		errs = append(errs, fmt.Errorf("send %s in %s: no process %q", unix.SignalName(s), g.Label, strings.Join(words, " ")))
	}
	return held, errors.Join(errs...)
}

// commandBegins is false for a process that has ended.
func commandBegins(pid int, words []string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(line) == 0 || len(words) == 0 {
		return false
	}
	args := strings.Split(string(bytes.TrimSuffix(line, []byte{0})), "\x00")
	if len(args) < len(words) || filepath.Base(args[0]) != words[0] {
		return false
	}
	for i, w := range words[1:] {
		if args[i+1] != w {
			return false
		}
	}
	return true
}
