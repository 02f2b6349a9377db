package process

import (
	"fmt"
	"time"
)

// ward is one kind of process in the parent's care; at most one of it runs.
type ward struct {
	name        string // in logs and in what systemd is told
	confinement confinement
	// args is the command line after the program's name, of a process that is
	// started again for the so many-th time.
	args func(restarts int) []string
	// patience is how long it may take to end before it is killed.
	patience time.Duration
	backoff  backoff

	child    *child           // nil between two
	restart  <-chan time.Time // nil unless a start is due
	overdue  <-chan time.Time // nil unless it was told to end
	restarts int
}

// start starts the process.
func (w *ward) start(program string, deliver chan<- news) error {
	w.restart, w.overdue = nil, nil
	argv := append([]string{program}, w.args(w.restarts)...)
	c, err := startChild(w.confinement, argv, deliver)
	if err != nil {
		return fmt.Errorf("%s: %v", w.name, err)
	}
	w.child = c
	return nil
}

// again schedules the next start after a process that lived so long, and
// returns when.
func (w *ward) again(lived time.Duration) time.Duration {
	w.restarts++
	pause := w.backoff.pause(lived)
	w.restart = time.After(pause)
	return pause
}

// lost takes the end of the process in, and returns why it ended.
func (w *ward) lost(n news) error {
	w.child, w.overdue = nil, nil
	if n.of.failure != nil {
		return n.of.failure
	}
	return fmt.Errorf("start sluice: the %s process ended: %s", w.name, n.end)
}
