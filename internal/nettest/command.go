package nettest

import (
	"bytes"
	"context"
	"os/exec"
	"syscall"
)

// Cmd is a program that will run inside a namespace. The fields are those of
// [exec.Cmd]; its methods that start the program are replaced here.
type Cmd struct {
	*exec.Cmd
	ns *Namespace
}

// Command prepares a program to run inside the namespace: in its network, and
// otherwise like any child of this process. It is killed when ctx ends, and when
// this process dies without a chance to clear up, unless SysProcAttr.Pdeathsig
// is set to 0.
func (n *Namespace) Command(ctx context.Context, program string, args ...string) *Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return &Cmd{Cmd: cmd, ns: n}
}

// Start starts the program, as [exec.Cmd.Start] does, and does not wait for it.
func (c *Cmd) Start() error {
	// A child inherits the namespace of the thread that forks it.
	return c.ns.Do(c.Cmd.Start)
}

// Run starts the program and waits for it, as [exec.Cmd.Run] does.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output. Unlike
// [exec.Cmd.Output] it keeps no standard error.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns what it wrote to standard output
// and standard error, as [exec.Cmd.CombinedOutput] does.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
