package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// supervise keeps a node running until it is told to stop.
//
//	          start fails, or the node ends before it was ever ready
//	start ─────────────────────────────────────────────► error, exit 1
//	  │ ready                                            (what it pinned is
//	  ▼                                                   taken back)
//	running ◄──────── backoff ◄─────── the node dies
//	  │  │                               (packets flow on)
//	  │  └── SIGUSR2 ──► exec: the new program replaces the node
//	  │ SIGTERM, SIGINT
//	  ▼
//	the node leaves ──► XDP comes off, pins go ──► exit 0
//
// One goroutine owns all of it; others only deliver.
func (p *parent) supervise(ctx context.Context) error {
	if err := p.startNode(); err != nil {
		return err
	}
	for {
		var reports <-chan report
		var exited <-chan *os.ProcessState
		if p.child != nil {
			reports, exited = p.child.reports, p.child.exited
		}
		select {
		case <-ctx.Done():
			return p.stop()
		case sig := <-p.signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				return p.stop()
			}
			p.onSignal(sig)
		case r, open := <-reports:
			if !open {
				p.child.reports = nil
				continue
			}
			p.onReport(r)
		case state := <-exited:
			if err := p.onExit(state); err != nil {
				return err
			}
		case <-p.restart:
			p.restart = nil
			if err := p.startNode(); err != nil {
				p.again(0, err)
			}
		}
	}
}

func (p *parent) startNode() error {
	c, err := p.startChild()
	if err != nil {
		return err
	}
	p.child = c
	p.Log.Info("node process started", "pid", c.process.Pid)
	return nil
}

// onSignal takes the signals that do not end the parent.
func (p *parent) onSignal(sig os.Signal) {
	switch {
	case sig == syscall.SIGUSR2:
		// Only an error comes back.
		p.Log.Error("the program was not replaced, the old one goes on", "error", p.replaceSelf())
	case p.child != nil && p.child.ready:
		p.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic().Microseconds()))
		_ = p.child.process.Signal(syscall.SIGHUP)
	default:
		// A node that is still starting may have read the file already, and
		// has no handler that would survive the signal.
		p.reload = true
	}
}

func (p *parent) onReport(r report) {
	switch r.word {
	case reportReady:
		p.child.ready, p.everReady = true, true
		p.notify(daemon.SdNotifyReady)
		if p.reload {
			p.reload = false
			p.onSignal(syscall.SIGHUP)
		}
	case reportAlive:
		p.notify(daemon.SdNotifyWatchdog)
	case reportReloaded:
		p.notify(daemon.SdNotifyReady + "\nSTATUS=" + reloadStatus(r.err()))
	case reportFailed:
		p.child.failure = r.err()
	}
}

func reloadStatus(err error) string {
	if err == nil {
		return "settings reloaded"
	}
	return "settings not reloaded"
}

// onExit decides what the end of the node means: before the first was ever
// ready it is a failed start, later it is a crash to recover from.
func (p *parent) onExit(state *os.ProcessState) error {
	c := p.child
	if c.reports != nil {
		for r := range c.reports { // what it said last is still in the pipe
			p.onReport(r)
		}
	}
	p.child = nil
	err := c.failure
	if err == nil {
		err = fmt.Errorf("start sluice: the node process ended: %s", state)
	}
	if !p.everReady {
		return p.takeBack(err)
	}
	p.again(time.Since(c.started), err)
	return nil
}

// takeBack leaves the machine as it was before a start that failed: what was
// pinned then goes on, what was not is removed.
func (p *parent) takeBack(err error) error {
	if !p.fresh {
		return err
	}
	if removing := p.Detach(p.Boot.Pins); removing != nil {
		return fmt.Errorf("%v; and not everything could be taken back: %v", err, removing)
	}
	return err
}

// again schedules the next start.
func (p *parent) again(lived time.Duration, err error) {
	pause := p.backoff.pause(lived)
	p.restart = time.After(pause)
	p.notify("STATUS=node process ended, starting it again")
	p.Log.Error("node process ended: the dataplane goes on, starting it again", "error", err, "after", pause)
}

// stop is the real stop: the node first, so that nobody writes to the maps any
// more, then the dataplane. Detaching is done here and not by the node, because
// it must also happen when the node is dead or stuck. SIGINT tells the node
// that there is no next one; SIGTERM, which it may get from anybody, does not.
func (p *parent) stop() error {
	p.notify(daemon.SdNotifyStopping)
	if p.child != nil {
		p.endChild()
	}
	if !p.Dataplane {
		return nil
	}
	if err := p.Detach(p.Boot.Pins); err != nil {
		return fmt.Errorf("stop sluice: %v", err)
	}
	return nil
}

func (p *parent) endChild() {
	_ = p.child.process.Signal(syscall.SIGINT)
	if p.child.reports != nil {
		go func() {
			for range p.child.reports { // nobody listens any more, and it must not block
			}
		}()
	}
	select {
	case <-p.child.exited:
		return
	case <-time.After(stopPatience):
	}
	p.Log.Error("node process does not end, killing it", "pid", p.child.process.Pid)
	_ = p.child.process.Kill()
	<-p.child.exited
}

// replaceSelf becomes the program that is installed now. The process keeps its
// number, so systemd and whoever started it see no change; the node lives on
// until the new program replaces it as it would any other's.
func (p *parent) replaceSelf() error {
	if err := p.Check(); err != nil {
		return err
	}
	// Between exec and the new program's handlers these would end it.
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR2)
	env := os.Environ()
	if p.child != nil {
		env = append(env, fmt.Sprintf("%s=%d", predecessorEnv, p.child.process.Pid))
	}
	err := syscall.Exec(p.program, os.Args, env)
	signal.Notify(p.signals, syscall.SIGHUP, syscall.SIGUSR2)
	return fmt.Errorf("execute %q: %v", p.program, err)
}

// monotonic is the clock systemd compares reloads by.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}
