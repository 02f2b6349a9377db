package process

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHandleWait(t *testing.T) {
	other := startRole(t, "child")
	h, err := openProcess(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := h.wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("wait for a living process = %v", err)
	}
	// The same handle waits again, and this time there is an end to see.
	go func() { _ = other.stdin.Close() }()
	if err := h.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestHandleOutlivesProcess(t *testing.T) {
	other := startRole(t, "child")
	h, err := openProcess(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	other.end()
	if err := h.signal(unix.SIGTERM); err != nil {
		t.Errorf("signal to the gone = %v", err)
	}
	if _, err := openProcess(other.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("open the gone = %v", err)
	}
}

func TestTerminate(t *testing.T) {
	for name, c := range map[string]struct {
		args     []string
		patience time.Duration
	}{
		"willing":  {[]string{"child"}, time.Hour},
		"stubborn": {[]string{"child", "stubborn"}, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			other := startRole(t, c.args...)
			h, err := openProcess(other.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			defer h.close()
			if err := h.end(t.Context(), unix.SIGTERM, c.patience); err != nil {
				t.Fatal(err)
			}
			if _, err := openProcess(other.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("still there, or not reaped: %v", err)
			}
		})
	}
}
