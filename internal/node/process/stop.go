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

// stop is the real stop: the vip process first, so that its VIPs go to another
// gateway while flows still pass here, then the node, so that nobody writes to
// the maps any more, then the dataplane. Detaching is done here and not by the
// node, because it must also happen when the node is dead or stuck. SIGINT
// tells both that there is no next one; SIGTERM, which they may get from
// anybody, does not.
func (p *parent) stop() error {
	p.notify(daemon.SdNotifyStopping)
	p.stopVIP()
	if p.node.child != nil {
		p.endChild(&p.node)
	}
	if !p.Dataplane {
		return nil
	}
	if err := p.Detach(p.Boot.Pins); err != nil {
		return fmt.Errorf("stop sluice: %v", err)
	}
	return nil
}

// stopVIP ends the vip process, whoever's child it is.
func (p *parent) stopVIP() {
	if p.cleared != nil {
		if err := <-p.cleared; err != nil {
			p.Log.Error("the running vip process was not ended", "error", err)
		}
		p.cleared = nil
	}
	if p.vip.child != nil {
		p.endChild(&p.vip)
		return
	}
	old, err := p.takeOldVIP()
	if err == nil && old != nil {
		err = old.end(context.Background(), unix.SIGINT, p.vip.patience)
		old.close()
	}
	if err != nil {
		p.Log.Error("the running vip process was not ended", "error", err)
	}
}

// endChild ends a child for good.
func (p *parent) endChild(w *ward) {
	w.child.signal(syscall.SIGINT)
	if p.await(w.child, w.patience) {
		return
	}
	p.Log.Error(w.name+" process does not end, killing it", "pid", w.child.process.Pid)
	w.child.signal(os.Kill)
	p.await(w.child, stopPatience)
}

// await takes news until the child has ended, and says whether it did before
// patience ran out. What children say meanwhile concerns nobody any more.
func (p *parent) await(c *child, patience time.Duration) bool {
	overdue := time.After(patience)
	for !c.ended {
		select {
		case n := <-p.news:
			n.of.ended = n.end != nil
		case <-overdue:
			return false
		}
	}
	return true
}
