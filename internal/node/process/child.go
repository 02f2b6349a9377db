package process

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// reportFD is the node's end of the pipe: the first descriptor after the
// standard ones.
const reportFD = 3

// child is a node process this parent started.
type child struct {
	process *os.Process
	started time.Time
	ready   bool
	failure error // the reason it gave before it ended
	reports <-chan report
	exited  <-chan *os.ProcessState
}

// startChild starts a node process from the same program file as this one,
// even when another has been installed meanwhile.
func (p *parent) startChild() (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start node process: %v", err)
	}
	defer w.Close()
	boot := p.Boot
	boot.Again, boot.Report = p.everReady, reportFD
	if interval, err := daemon.SdWatchdogEnabled(false); err == nil && interval > 0 {
		boot.Alive = interval / 3
	}
	argv := append([]string{p.program}, boot.Args()...)
	files := []*os.File{nil, os.Stdout, os.Stderr, w}
	process, err := p.plan.confinement.start("/proc/self/exe", argv, childEnv(os.Environ()), files)
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	reports := make(chan report)
	exited := make(chan *os.ProcessState, 1)
	go func() {
		defer r.Close()
		readReports(r, reports)
	}()
	go func() {
		state, _ := process.Wait() // of our own child: it cannot fail
		exited <- state
	}()
	return &child{process: process, started: time.Now(), reports: reports, exited: exited}, nil
}

// childEnv takes out what is between systemd and the parent.
func childEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "NOTIFY_SOCKET" || name == "WATCHDOG_PID" || name == "WATCHDOG_USEC"
	})
}
