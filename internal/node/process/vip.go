package process

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The rules of the vip process:
//
//   - It is wanted while the settings have virtual clusters, which the node says.
//   - It is started once the node was ready, because it needs what is pinned,
//     and then lives and dies apart from the node.
//   - SIGTERM leaves owner words and addresses to run on until they expire, for
//     a successor to take up; SIGINT has it give its VIPs up. One that dies is
//     started again without a pause, so that it is back before they expire.
//   - One that is not our child, because a parent died or replaced its own
//     program, keeps its VIPs until the moment ours can follow it.

// onFailover takes the node's word for whether there are virtual clusters.
func (p *parent) onFailover(text string) {
	on := text == failoverOn
	if on && !p.Dataplane {
		p.Log.Error(`virtual clusters need a dataplane, which this parent did not make ready: restart "sluice run"`)
		return
	}
	p.vipWanted = on
	if p.everReady {
		p.settleVIP()
	}
}

// settleVIP brings the vip process to what is wanted. Where one is being ended,
// or a start is due, that leads here again.
func (p *parent) settleVIP() {
	switch {
	case p.cleared != nil:
	case p.vip.child != nil && !p.vipWanted:
		p.tellVIP(unix.SIGINT)
	case p.vip.child != nil:
	case !p.vipWanted:
		p.vip.restart = nil
		p.clearOldVIP(unix.SIGINT)
	case p.vip.restart == nil && !p.clearOldVIP(unix.SIGTERM):
		p.startVIP()
	}
}

func (p *parent) startVIP() {
	var err error
	withoutMemlockLimit(func() { err = p.vip.start(p.program, p.news) })
	if err != nil {
		p.vipAgain(0, err)
		return
	}
	pid := p.vip.child.process.Pid
	p.Log.Info("vip process started", "pid", pid)
	schedule, err := ReadSchedule(pid)
	if err == nil {
		err = p.vip.confinement.rank.fault(schedule)
	}
	if err = errors.Join(err, spare(pid)); err != nil && p.vip.restarts == 0 { // said once
		p.Log.Warn("the vip process may be late when the machine is busy", "pid", pid, "error", err)
	}
}

func (p *parent) onVIPReport(r report) {
	switch r.word {
	case reportReady:
		p.vip.child.ready = true
		p.Log.Info("vip process is ready", "pid", p.vip.child.process.Pid)
	case reportFailed:
		p.vip.child.failure = r.err()
	}
}

func (p *parent) onVIPEnd(n news) {
	err := p.vip.lost(n)
	if n.of.leaving {
		p.Log.Info("vip process has ended as it was told", "pid", n.of.process.Pid)
		p.settleVIP()
		return
	}
	p.vipAgain(time.Since(n.of.started), err)
}

func (p *parent) vipAgain(lived time.Duration, err error) {
	pause := p.vip.again(lived)
	p.Log.Error("vip process ended: starting it again", "error", err, "after", pause)
}

// tellVIP has our vip process end; one that does not is killed.
func (p *parent) tellVIP(sig unix.Signal) {
	if p.vip.child.leaving {
		return
	}
	p.vip.child.leaving = true
	p.vip.child.signal(sig)
	p.vip.overdue = time.After(p.vip.patience)
}

func (p *parent) onOverdueVIP() {
	p.vip.overdue = nil
	p.Log.Error("vip process does not end, killing it", "pid", p.vip.child.process.Pid)
	p.vip.child.signal(os.Kill)
}

// clearOldVIP begins to end a vip process that is not our child and says
// whether something has to be waited for: its end, or another look at who holds
// its place.
func (p *parent) clearOldVIP(sig unix.Signal) bool {
	old, err := p.takeOldVIP()
	if err != nil {
		p.vipAgain(0, err)
		return true
	}
	if old == nil {
		return false
	}
	p.Log.Info("ending the running vip process", "pid", old.pid)
	cleared := make(chan error, 1)
	p.cleared = cleared
	patience := p.vip.patience
	if sig == unix.SIGTERM {
		patience = handoverPatience
	}
	go func() {
		defer old.close()
		cleared <- old.end(context.Background(), sig, patience)
	}()
	return true
}

// takeOldVIP returns the vip process that is not our child: the one this very
// process left behind when it replaced its program, or that a parent that died
// did. nil is none.
func (p *parent) takeOldVIP() (*handle, error) {
	if old := p.oldVIP; old != nil {
		p.oldVIP = nil
		return old, nil
	}
	return findVIP(p.Boot.VIP())
}

func (p *parent) onCleared(err error) {
	p.cleared = nil
	if err != nil {
		p.vipAgain(0, err)
		return
	}
	p.settleVIP()
}
