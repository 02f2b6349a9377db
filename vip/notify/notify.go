// Package notify runs the program that wants to know of a virtual cluster's
// changes. It never makes anybody wait: changes queue up, and a program that does
// not end is ended.
package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Change is what the program is told, in its environment and as its last two
// arguments: the cluster and the state.
type Change struct {
	// Cluster is the virtual cluster, Node this gateway.
	Cluster, Node string
	// State and Before are init, backup, active or fault. Where they are the same
	// the node is still in that state, after it might have been doubted.
	State, Before string
	// Reason says why, for people.
	Reason string
	// Term is the cluster's, which grows with every take-over.
	Term uint64
}

func (c Change) environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"SLUICE_CLUSTER=" + c.Cluster,
		"SLUICE_NODE=" + c.Node,
		"SLUICE_STATE=" + c.State,
		"SLUICE_BEFORE=" + c.Before,
		"SLUICE_REASON=" + c.Reason,
		fmt.Sprintf("SLUICE_TERM=%d", c.Term),
	}
}

// waiting is how many changes wait for a program that is slow. What does not fit
// replaces the oldest: the last one always comes.
const waiting = 16

// Notifier runs one program, for one change after the other.
type Notifier struct {
	command []string
	start   func(*exec.Cmd) error
	timeout time.Duration
	failed  func(error)

	mu    sync.Mutex
	queue []Change
	wake  chan struct{}
}

// New returns a notifier for a program with its first arguments, which may take
// timeout. start starts it, with less rights and rank than this process has; failed
// is told what went wrong, from Run.
func New(command []string, timeout time.Duration, start func(*exec.Cmd) error, failed func(error)) *Notifier {
	return &Notifier{command: command, timeout: timeout, start: start, failed: failed, wake: make(chan struct{}, 1)}
}

// Tell queues a change and returns at once.
func (n *Notifier) Tell(c Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == waiting {
		n.queue = append(n.queue[:0], n.queue[1:]...)
	}
	n.queue = append(n.queue, c)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run tells what is queued until ctx ends. Then the changes that are left are
// told, in one more timeout at most: that this node stopped is one of them.
func (n *Notifier) Run(ctx context.Context) {
	for {
		select {
		case <-n.wake:
			n.drain(context.WithoutCancel(ctx)) // what has begun may end
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), n.timeout)
			defer cancel()
			n.drain(last)
			return
		}
	}
}

func (n *Notifier) drain(ctx context.Context) {
	for {
		c, ok := n.next()
		if !ok {
			return
		}
		if err := n.run(ctx, c); err != nil {
			n.failed(fmt.Errorf("notify of virtual cluster %q %s: %v", c.Cluster, c.State, err))
		}
	}
}

func (n *Notifier) next() (Change, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		return Change{}, false
	}
	c := n.queue[0]
	n.queue = n.queue[1:]
	return c, true
}

func (n *Notifier) run(ctx context.Context, c Change) error {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	args := append(append([]string(nil), n.command[1:]...), c.Cluster, c.State)
	cmd := exec.CommandContext(ctx, n.command[0], args...)
	cmd.Env = c.environment()
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, io.Discard, io.Discard
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// What it left in the background keeps the pipes, not us.
	cmd.WaitDelay = time.Second
	err := n.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s did not end within %v and was killed", n.command[0], n.timeout)
	}
	if err != nil {
		return fmt.Errorf("run %s: %v", n.command[0], err)
	}
	return nil
}
