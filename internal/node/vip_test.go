package node

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/node/process"
)

// playDaemon says what reaches a vip daemon. A file "end" in its directory makes
// it end by itself.
func playDaemon(ctx context.Context, boot process.VIPBoot, _ *slog.Logger, ready func()) error {
	ready()
	fmt.Println("ready", boot.Name)
	if _, err := os.Stat(filepath.Join(boot.State, "end")); err == nil {
		return nil
	}
	<-ctx.Done()
	fmt.Println(context.Cause(ctx))
	return nil
}

// startVIP starts this binary as a vip process and returns its lines from the
// one after "ready" on.
func startVIP(t *testing.T, boot process.VIPBoot) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", boot.Args()...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready gw-a" {
		t.Fatalf("it said %q, %v", lines.Text(), lines.Err())
	}
	return cmd, lines
}

func TestVIPIsToldHowToEnd(t *testing.T) {
	for sig, want := range map[syscall.Signal]string{
		syscall.SIGINT: process.ErrResign.Error(), syscall.SIGTERM: context.Canceled.Error(),
	} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			boot := process.Boot{DataDir: dir, Pins: "/p", Socket: dir + "/c", Name: "gw-a"}.VIP()
			cmd, lines := startVIP(t, boot)
			second, err := exec.CommandContext(t.Context(), "/proc/self/exe", boot.Args()...).CombinedOutput()
			if err == nil || !strings.Contains(string(second), fmt.Sprintf("the vip process %d does", cmd.Process.Pid)) {
				t.Errorf("a second one: %v: %s", err, second)
			}
			for _, ignored := range []syscall.Signal{syscall.SIGHUP, syscall.SIGPIPE, sig} {
				if err := cmd.Process.Signal(ignored); err != nil {
					t.Fatal(err)
				}
			}
			if !lines.Scan() || lines.Text() != want {
				t.Errorf("it was told %q, want %q", lines.Text(), want)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A daemon that has nothing to do any more is one that failed, and says so.
func TestVIPThatEndsByItself(t *testing.T) {
	dir := t.TempDir()
	boot := process.Boot{DataDir: dir, Pins: "/p", Socket: dir + "/c", Name: "gw-a"}.VIP()
	if err := os.MkdirAll(boot.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(boot.State, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, _ := startVIP(t, boot)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
}

// The node shows the vip process beside it, whoever started it.
func TestStatusShowsTheVIPProcess(t *testing.T) {
	dir := t.TempDir()
	n := &node{boot: process.Boot{DataDir: dir, Pins: "/p", Socket: dir + "/c", Name: "gw-a", Restarts: 2}, started: time.Unix(1, 0)}
	names := func() []string {
		var names []string
		for _, p := range n.processes() {
			names = append(names, p.Name)
		}
		return names
	}
	if got := names(); !slices.Equal(got, []string{"node"}) {
		t.Errorf("alone it shows %v", got)
	}
	boot := n.boot.VIP()
	boot.Restarts = 3
	before := time.Now().Add(-time.Second)
	cmd, _ := startVIP(t, boot)
	list := n.processes()
	if got := names(); !slices.Equal(got, []string{"node", "vip"}) {
		t.Fatalf("it shows %v", got)
	}
	if own := list[0]; own.Restarts != 2 || !own.StartedAt.Equal(n.started) {
		t.Errorf("node: %+v", own)
	}
	if vip := list[1]; vip.PID != cmd.Process.Pid || vip.Restarts != 3 || vip.StartedAt.Before(before) || vip.Schedule == "" {
		t.Errorf("vip: %+v", vip)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}
