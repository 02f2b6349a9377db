package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// playVIP is a vip process without VIPs: it notes what it meets as playNode does.
// In the data directory a file "vip-fail" makes it fail, one "vip-stubborn" deaf,
// and one "vip-young" keeps it from taking its lock.
func playVIP() error {
	boot, err := ParseVIPBoot(os.Args[1+len(VIPCommand):])
	if err != nil {
		return err
	}
	data := filepath.Dir(boot.State)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	reporter := NewReporter(boot.Report)
	if text, err := os.ReadFile(filepath.Join(data, "vip-fail")); err == nil {
		note(data, "vip-failed")
		reporter.Failed(errors.New(string(text)))
		os.Exit(1)
	}
	if _, err := os.Stat(filepath.Join(data, "vip-young")); err == nil {
		note(data, "vip-young")
		<-signals
		return nil
	}
	held, err := LockVIP(boot.State)
	if err != nil {
		reporter.Failed(err)
		return err
	}
	defer held.Close()
	note(data, "vip-ready")
	reporter.Ready()
	for sig := range signals {
		if _, err := os.Stat(filepath.Join(data, "vip-stubborn")); err == nil {
			continue
		}
		if sig == syscall.SIGINT {
			note(data, "vip-resign")
		} else {
			note(data, "vip-handover")
		}
		return nil
	}
	return nil
}

// playSchedule shows how each thread of this very process is scheduled.
func playSchedule() error {
	done := make(chan struct{})
	defer close(done)
	for range 4 { // more threads than the runtime has by itself
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(started)
			<-done
		}()
		<-started
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		s, err := ReadSchedule(tid)
		if err != nil {
			return err
		}
		fmt.Println(s)
	}
	return nil
}

// playUrgent starts playSchedule as a parent starts what is urgent.
func playUrgent() error {
	c := confinement{uid: os.Geteuid(), gid: os.Getegid(), rank: rankUrgent}
	process, err := c.start("/proc/self/exe", []string{"sluice", "schedule"}, os.Environ(), []*os.File{nil, os.Stdout, os.Stderr})
	if err != nil {
		return err
	}
	state, err := process.Wait()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	return err
}

// playPlain starts playSchedule and playStatus as a vip process starts the
// commands of an operator.
func playPlain() error {
	for _, role := range []string{"schedule", "status"} {
		cmd := exec.Command("/proc/self/exe", role)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := StartPlain(cmd); err != nil {
			return err
		}
		if err := cmd.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// playKeep locks its memory, "anyway" whatever the limit, and shows how much of
// it is.
func playKeep() error {
	lock := KeepMemory
	if slices.Contains(os.Args, "anyway") {
		lock = lockMemory
	}
	if err := lock(); err != nil {
		return err
	}
	for range 64 { // the limit must not be met later either
		_ = make([]byte, 1<<20)
	}
	text, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmLck:") {
			fmt.Print(line)
		}
	}
	return err
}

// playHeir ends at once and leaves a process of its own that does not, and that
// has the pipe to the parent unless a reporter took care of it.
func playHeir() error {
	pipe := os.NewFile(reportFD, "report")
	if slices.Contains(os.Args, "reporter") {
		NewReporter(reportFD)
	}
	heir, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "60"}, &syscall.ProcAttr{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(pipe, "heir", heir)
	return err
}
