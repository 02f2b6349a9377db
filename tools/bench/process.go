package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"sluice/internal/nettest"
)

// stopWithin is how long a process may take to end when it is asked to.
const stopWithin = 10 * time.Second

// process is a program that runs in a namespace until it is stopped.
type process struct {
	program string
	log     string // what it writes to
	cmd     *nettest.Cmd
	ended   chan struct{}
}

// startProcess starts one that appends what it says to a file.
func startProcess(n *nettest.Namespace, log, program string, args ...string) (*process, error) {
	path, err := nettest.FindProgram(program)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd := n.Command(context.Background(), path, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the benchmark
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{program: program, log: log, cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how does not matter: it was told to
	}()
	return p, nil
}

// pid is the process's number.
func (p *process) pid() int { return p.cmd.Process.Pid }

// running says whether it has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// stop asks it to end, and forces it if it does not.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("stop %s: it did not end by itself; it said: %s", p.program, p.said())
	}
}

// said is the end of what it wrote.
func (p *process) said() []byte {
	const enough = 2000
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-enough):]
}
