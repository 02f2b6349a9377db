package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary plays every process of these tests: which one is said by its
// first argument, as it is for sluice.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		roles := map[string]func() error{
			Command: playNode, VIPCommand[0]: playVIP, "schedule": playSchedule, "urgent": playUrgent, "keep": playKeep, "heir": playHeir,
			"plain": playPlain, "tick": playTick, "burn": playBurn, "parent": playParent, "status": playStatus, "lock": playLock, "child": playChild, "inspect": playInspect,
			"mount": func() error { return mountBPFFS(os.Args[2]) },
		}
		if role, known := roles[os.Args[1]]; known {
			if err := role(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	// Under -race every process would otherwise take a second to end.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	goleak.VerifyTestMain(m)
}

// playNode is a node without a dataplane. It notes what it meets in a file of
// its data directory. A file "fail" there makes it fail, one "slow" never ready.
func playNode() error {
	boot, err := ParseBoot(os.Args[2:])
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	reporter := NewReporter(boot.Report)
	if text, err := os.ReadFile(filepath.Join(boot.DataDir, "fail")); err == nil {
		reporter.Failed(errors.New(string(text)))
		os.Exit(1)
	}
	held, err := LockNode(boot.DataDir)
	if err != nil {
		reporter.Failed(err)
		return err
	}
	defer held.Close()
	_ = os.Remove(boot.Socket)
	l, err := net.Listen("unix", boot.Socket)
	if err != nil {
		reporter.Failed(err)
		return err
	}
	defer l.Close()
	tellFailover(boot.DataDir, reporter)
	if _, err := os.Stat(filepath.Join(boot.DataDir, "slow")); err == nil {
		note(boot.DataDir, "slow")
		<-signals
		return nil
	}
	note(boot.DataDir, "ready")
	reporter.Ready()
	reporter.Alive()
	for sig := range signals {
		switch sig {
		case syscall.SIGTERM:
			note(boot.DataDir, "end")
			return nil
		case syscall.SIGINT:
			note(boot.DataDir, "leave")
			return nil
		}
		note(boot.DataDir, "reload")
		tellFailover(boot.DataDir, reporter)
		reporter.Reloaded(nil)
	}
	return nil
}

// tellFailover reports what a file "failover" says, if there is one.
func tellFailover(data string, reporter *Reporter) {
	if text, err := os.ReadFile(filepath.Join(data, "failover")); err == nil {
		reporter.Failover(string(text) == "on")
	}
}

// note appends "WORD PID" to the journal of the test.
func note(dir, word string) {
	f, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		fmt.Fprintln(f, word, os.Getpid())
		f.Close()
	}
}

// playParent runs a parent below the directory of the second argument for the
// user of the third; further ones ask for a dataplane and for failover.
func playParent() error {
	base := os.Args[2]
	boot := bootBelow(base)
	boot.User = os.Args[3]
	return Run(context.Background(), Options{
		Boot:      boot,
		Dataplane: slices.Contains(os.Args[4:], "dataplane"),
		Failover:  slices.Contains(os.Args[4:], "failover"),
		DataNames: []string{"journal", "fail", "slow", "failover", "vip-fail", "vip-stubborn", "vip-young"},
		Check: func() error {
			if _, err := os.Stat(filepath.Join(base, "broken")); err == nil {
				return errors.New("settings are broken")
			}
			return nil
		},
		Detach: func(pins string) error {
			note(boot.DataDir, "detach")
			return os.WriteFile(filepath.Join(base, "detached"), []byte(pins), 0o644)
		},
		Pinned: func(pins string) (bool, error) {
			_, err := os.Stat(filepath.Join(pins, "v1"))
			return err == nil, nil
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

func bootBelow(base string) Boot {
	return Boot{
		Settings: filepath.Join(base, "sluice.yaml"),
		Pins:     filepath.Join(base, "bpf"),
		DataDir:  filepath.Join(base, "data"),
		Socket:   filepath.Join(base, "run", "control.sock"),
	}
}

// playStatus shows the rights of this very process.
func playStatus() error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%sSecurebits:\t%d\n", text, bits)
	return err
}

// playLock takes a lock, says so and keeps it until its input ends.
func playLock() error {
	f, err := lock(os.Args[2])
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// playChild waits for its input to end; "stubborn" ignores SIGTERM.
func playChild() error {
	if strings.Join(os.Args[2:], "") == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	fmt.Println("started")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func playInspect() error {
	on, lasting, err := InspectBPFFS(os.Args[2])
	fmt.Println(on, lasting)
	return err
}
