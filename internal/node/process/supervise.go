package process

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// supervise keeps the children running until it is told to stop.
//
//	          start fails, or the node ends before it was ever ready
//	start ─────────────────────────────────────────────► error, exit 1
//	  │ ready: the vip process is started, too           (what it pinned is
//	  ▼                                                   taken back)
//	running ◄──────── backoff ◄─────── a child dies
//	  │  │                               (packets flow on, the other one lives on)
//	  │  └── SIGUSR2 ──► exec: the new program replaces both
//	  │ SIGTERM, SIGINT
//	  ▼
//	vip gives its VIPs up ──► the node leaves ──► XDP comes off, pins go ──► exit 0
//
// One goroutine owns all of it; others only deliver.
func (p *parent) supervise(ctx context.Context) error {
	if err := p.startNode(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return p.stop()
		case sig := <-p.signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				return p.stop()
			}
			p.onSignal(sig)
		case n := <-p.news:
			if err := p.onNews(n); err != nil {
				return err
			}
		case <-p.node.restart:
			if err := p.startNode(); err != nil {
				p.nodeAgain(0, err)
			}
		case <-p.vip.restart:
			p.vip.restart = nil
			p.settleVIP()
		case err := <-p.cleared:
			p.onCleared(err)
		case <-p.vip.overdue:
			p.onOverdueVIP()
		}
	}
}

// onNews gives each child's news to the rules of its kind.
func (p *parent) onNews(n news) error {
	n.of.ended = n.end != nil
	switch {
	case n.of == p.node.child && n.of.ended:
		return p.onNodeEnd(n)
	case n.of == p.node.child:
		p.onNodeReport(n.report)
	case n.of == p.vip.child && n.of.ended:
		p.onVIPEnd(n)
	case n.of == p.vip.child:
		p.onVIPReport(n.report)
	}
	return nil
}

func (p *parent) startNode() error {
	if err := p.node.start(p.program, p.news); err != nil {
		return err
	}
	p.Log.Info("node process started", "pid", p.node.child.process.Pid)
	return nil
}

// onSignal takes the signals that do not end the parent.
func (p *parent) onSignal(sig os.Signal) {
	switch {
	case sig == syscall.SIGUSR2:
		// Only an error comes back.
		p.Log.Error("the program was not replaced, the old one goes on", "error", p.replaceSelf())
	case p.node.child != nil && p.node.child.ready:
		p.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic().Microseconds()))
		p.node.child.signal(syscall.SIGHUP)
	default:
		// A node that is still starting may have read the file already, and
		// has no handler that would survive the signal.
		p.reload = true
	}
}

func (p *parent) onNodeReport(r report) {
	switch r.word {
	case reportReady:
		p.node.child.ready, p.everReady = true, true
		p.notify(daemon.SdNotifyReady)
		p.settleVIP()
		if p.reload {
			p.reload = false
			p.onSignal(syscall.SIGHUP)
		}
	case reportAlive:
		p.notify(daemon.SdNotifyWatchdog)
	case reportReloaded:
		p.notify(daemon.SdNotifyReady + "\nSTATUS=" + reloadStatus(r.err()))
	case reportFailed:
		p.node.child.failure = r.err()
	case reportFailover:
		p.onFailover(r.text)
	}
}

func reloadStatus(err error) string {
	if err == nil {
		return "settings reloaded"
	}
	return "settings not reloaded"
}

// onNodeEnd decides what the end of the node means: before the first was ever
// ready it is a failed start, later it is a crash to recover from.
func (p *parent) onNodeEnd(n news) error {
	err := p.node.lost(n)
	if !p.everReady {
		return p.takeBack(err)
	}
	p.nodeAgain(time.Since(n.of.started), err)
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

func (p *parent) nodeAgain(lived time.Duration, err error) {
	pause := p.node.again(lived)
	p.notify("STATUS=node process ended, starting it again")
	p.Log.Error("node process ended: the dataplane goes on, starting it again", "error", err, "after", pause)
}

// monotonic is the clock systemd compares reloads by.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}
