package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// parentLock is the lock of the parent, beside the control socket.
const parentLock = "parent.lock"

const (
	// stopPatience is how long a node may take to end before it is killed. It
	// is well below systemd's 90 s, so that the dataplane still comes off.
	stopPatience = 10 * time.Second
	// resignPatience is the same for a vip process that gives its VIPs up, and
	// handoverPatience for one that leaves them to a successor: it only has to
	// end, and each moment it takes is lost to the three adverts in which they
	// must be taken up.
	resignPatience   = 3 * time.Second
	handoverPatience = 100 * time.Millisecond

	restartFirst = 100 * time.Millisecond
	restartLimit = 30 * time.Second
	restartClear = time.Minute
)

// Options are what a parent needs to know.
type Options struct {
	// Boot is what the settings say about this node. Where the machine has no
	// such user, the node keeps uid 0. Again, Restarts, Report and Alive are the
	// parent's to fill in.
	Boot Boot
	// Dataplane says that the settings have services; without it no capability
	// is asked for and no bpffs mounted.
	Dataplane bool
	// Failover says that the settings have virtual clusters, which need a
	// dataplane. A node that reports otherwise knows better.
	Failover bool
	// DataNames and RunNames are what the node keeps in its data directory, and
	// beside the control socket.
	DataNames, RunNames []string
	// Check reads the settings again; the parent does not replace its own
	// program when the new one would refuse them.
	Check func() error
	// Detach takes the dataplane down: what a real stop does at its end, and a
	// failed start where Pinned said before it that there was none.
	Detach func(pins string) error
	Pinned func(pins string) (bool, error)
	// Log gets what happens to the children.
	Log *slog.Logger
}

// Run is the parent of `sluice run`. It returns nil after a real stop (SIGTERM,
// SIGINT or the end of ctx), with the dataplane taken down, and an error when
// the start failed, with the dataplane as it was. SIGHUP is passed to the node,
// SIGUSR2 replaces parent and children by the program that is now installed;
// both leave the dataplane alone, as does the death of any of the processes.
func Run(ctx context.Context, o Options) error {
	// Read before an upgrade moves the file: later the link says "(deleted)".
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the own program: %v", err)
	}
	p := newParent(o, program)
	signal.Notify(p.signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR2)
	defer signal.Stop(p.signals)
	held, err := p.prepare()
	if err != nil {
		return err
	}
	defer release(held)
	if err := p.replaceOld(ctx); err != nil {
		return err
	}
	if p.Dataplane {
		pinned, err := p.Pinned(p.Boot.Pins)
		if err != nil {
			return err
		}
		p.fresh = !pinned
	}
	return p.supervise(ctx)
}

// parent is the state of Run; one goroutine owns it.
type parent struct {
	Options
	plan    plan
	fresh   bool // nothing was pinned before the first start
	program string
	notify  func(state string)
	signals chan os.Signal
	news    chan news

	node      ward
	everReady bool
	reload    bool // SIGHUP came before the node could take it

	vip       ward
	vipWanted bool
	oldVIP    *handle      // left by the program that this process was
	cleared   <-chan error // nil unless a vip process that is not our child is being ended
}

func newParent(o Options, program string) *parent {
	p := &parent{
		Options: o, program: program, notify: notifySystemd,
		signals: make(chan os.Signal, 8), news: make(chan news), vipWanted: o.Failover,
	}
	record := backoff{first: restartFirst, limit: restartLimit, stable: restartClear}
	p.node = ward{name: "node", args: p.nodeArgs, patience: stopPatience, backoff: record}
	record.atOnce = true
	p.vip = ward{name: "vip", args: p.vipArgs, patience: resignPatience, backoff: record}
	return p
}

func (p *parent) nodeArgs(restarts int) []string {
	boot := p.Boot
	boot.Again, boot.Restarts, boot.Report = p.everReady, restarts, reportFD
	if interval, err := daemon.SdWatchdogEnabled(false); err == nil && interval > 0 {
		boot.Alive = interval / 3
	}
	return boot.Args()
}

func (p *parent) vipArgs(restarts int) []string {
	boot := p.Boot.VIP()
	boot.Restarts, boot.Report = restarts, reportFD
	return boot.Args()
}

func notifySystemd(state string) { _, _ = daemon.SdNotify(false, state) }

// prepare checks everything that can be known beforehand, takes the locks and
// carries the plan out.
func (p *parent) prepare() ([]*os.File, error) {
	var err error
	if p.plan, err = newPlan(p.Options); err != nil {
		return nil, err
	}
	p.node.confinement, p.vip.confinement = p.plan.confinement, p.plan.vip
	own, err := ReadStatus(0)
	if err != nil {
		return nil, err
	}
	if err := p.plan.check(own); err != nil {
		return nil, err
	}
	if !p.plan.confinement.changesUser() && p.Boot.User != "" && p.Boot.User != "root" {
		p.Log.Warn("the node keeps the user id of its parent: node.user does not exist or root is needed to change", "user", p.Boot.User)
	}
	var held []*os.File
	err = p.plan.carryOut(func() (err error) {
		held, err = lockAll(filepath.Dir(p.Boot.Socket), p.Boot.DataDir)
		return err
	})
	if err != nil {
		release(held)
	}
	return held, err
}

func release(held []*os.File) {
	for _, f := range held {
		_ = f.Close()
	}
}

// lockAll takes the parent's lock in each directory: none may serve two.
func lockAll(dirs ...string) ([]*os.File, error) {
	var held []*os.File
	for _, dir := range dirs {
		f, err := lock(filepath.Join(dir, parentLock))
		if err == nil {
			held = append(held, f)
			continue
		}
		release(held)
		if other, ok := errors.AsType[*lockedError](err); ok {
			return nil, fmt.Errorf("start sluice: another \"sluice run\" (process %d) uses %q: change it with \"sluice settings apply\", or stop it first", other.pid, dir)
		}
		return nil, err
	}
	return held, nil
}
