package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// predecessorEnv and vipPredecessorEnv name the children that a program
// replaced by SIGUSR2 leaves to its successor; they may be too young to be found.
const (
	predecessorEnv    = "SLUICE_PREDECESSOR"
	vipPredecessorEnv = "SLUICE_PREDECESSOR_VIP"
)

// replaceSelf becomes the program that is installed now. The process keeps its
// number, so systemd and whoever started it see no change; its children live on
// until the new program replaces them as it would any others.
func (p *parent) replaceSelf() error {
	if err := p.Check(); err != nil {
		return err
	}
	// Between exec and the new program's handlers these would end it.
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR2)
	env := os.Environ()
	for name, w := range map[string]*ward{predecessorEnv: &p.node, vipPredecessorEnv: &p.vip} {
		if w.child != nil {
			env = append(env, fmt.Sprintf("%s=%d", name, w.child.process.Pid))
		}
	}
	err := syscall.Exec(p.program, os.Args, env)
	signal.Notify(p.signals, syscall.SIGHUP, syscall.SIGUSR2)
	return fmt.Errorf("execute %q: %v", p.program, err)
}

// replaceOld ends a node whose parent died, or was this very process before
// SIGUSR2. SIGTERM to a node never takes the dataplane down, so packets flow
// on until the next node adopts it. A vip process goes on until the next can
// follow it at once.
func (p *parent) replaceOld(ctx context.Context) error {
	p.oldVIP = predecessor(vipPredecessorEnv)
	old := predecessor(predecessorEnv)
	if old == nil {
		var err error
		if old, err = find(p.Boot); err != nil || old == nil {
			return err
		}
	}
	defer old.close()
	p.Log.Info("replacing the running node process", "pid", old.pid)
	if err := old.end(ctx, unix.SIGTERM, stopPatience); err != nil {
		return fmt.Errorf("replace the running node: %v", err)
	}
	return nil
}

// predecessor holds the child that SIGUSR2 left behind. That it is a child of
// this process is checked: the environment is anybody's to set.
func predecessor(env string) *handle {
	value, found := os.LookupEnv(env)
	_ = os.Unsetenv(env)
	pid, err := strconv.Atoi(value)
	if !found || err != nil {
		return nil
	}
	if s, err := ReadStatus(pid); err != nil || s.Parent != os.Getpid() {
		return nil
	}
	h, err := openProcess(pid)
	if err != nil {
		return nil
	}
	return h
}
