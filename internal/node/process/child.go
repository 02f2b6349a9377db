package process

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// reportFD is a child's end of its pipe: the first descriptor after the
// standard ones.
const reportFD = 3

// child is a process this parent started.
type child struct {
	process *os.Process
	started time.Time
	failure error // the reason it gave before it ended
	ready   bool
	leaving bool // it was told to end
	ended   bool
}

// news is what reaches the loop of a child: a report, or its end, which comes
// after its last report.
type news struct {
	of     *child
	report report
	end    *os.ProcessState // nil for a report
}

// startChild starts a process from the same program file as this one, even when
// another has been installed meanwhile, and delivers what becomes of it.
func startChild(c confinement, argv []string, deliver chan<- news) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start process: %v", err)
	}
	defer w.Close()
	files := []*os.File{nil, os.Stdout, os.Stderr, w}
	process, err := c.start("/proc/self/exe", argv, childEnv(os.Environ()), files)
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	started := &child{process: process, started: time.Now()}
	reports := make(chan report)
	exited := make(chan *os.ProcessState, 1)
	go func() {
		defer r.Close()
		readReports(r, reports)
	}()
	go func() {
		state, _ := process.Wait() // of our own child: it cannot fail
		// What it said last is in the pipe; a process of its own may hold the
		// other end for ever.
		_ = r.SetReadDeadline(time.Now().Add(reportPatience))
		exited <- state
	}()
	go func() {
		for r := range reports {
			deliver <- news{of: started, report: r}
		}
		deliver <- news{of: started, end: <-exited}
	}()
	return started, nil
}

// signal sends a signal; a child that has ended takes none.
func (c *child) signal(sig os.Signal) { _ = c.process.Signal(sig) }

// childEnv takes out what is between systemd and the parent.
func childEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "NOTIFY_SOCKET" || name == "WATCHDOG_PID" || name == "WATCHDOG_USEC"
	})
}
