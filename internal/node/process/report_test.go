package process

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// newPipe is a reporter and what its parent reads of it.
func newPipe(t *testing.T) (*Reporter, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	reporter := NewReporter(fd)
	t.Cleanup(func() {
		_ = reporter.pipe.Close()
		_ = r.Close()
	})
	return reporter, r
}

func TestReports(t *testing.T) {
	reporter, r := newPipe(t)
	reporter.Ready()
	reporter.Alive()
	reporter.Reloaded(nil)
	reporter.Reloaded(errors.New("a.yaml:1:1: a: bad\na.yaml:2:1: b: bad"))
	reporter.Failover(true)
	reporter.Failover(false)
	told := reporter.Failed(errors.New("open dataplane: no"))
	if !told {
		t.Error("Failed says that nobody was told")
	}
	_ = reporter.pipe.Close()
	to := make(chan report, 9)
	readReports(r, to)
	var got []string
	for r := range to {
		got = append(got, r.word+"|"+r.text)
	}
	want := []string{
		"ready|", "alive|", "reloaded|",
		"reloaded|a.yaml:1:1: a: bad\na.yaml:2:1: b: bad", "failover|on", "failover|off", "failed|open dataplane: no",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReportIsBounded(t *testing.T) {
	reporter, r := newPipe(t)
	reporter.Failed(errors.New(strings.Repeat("x", 2*maxReport)))
	reporter.Ready()
	_ = reporter.pipe.Close()
	to := make(chan report, 9)
	readReports(r, to)
	if r := <-to; r.word != reportFailed || len(r.text) < maxReport/2 {
		t.Errorf("first report %q with %d bytes", r.word, len(r.text))
	}
	if r := <-to; r.word != reportReady {
		t.Errorf("second report %q", r.word)
	}
}

// A node that sends more than a line may have is not believed any further.
func TestReadReportsEndsAtOverlongLine(t *testing.T) {
	to := make(chan report, 9)
	readReports(strings.NewReader("alive\n"+strings.Repeat("x", 2*maxReport)+"\nready\n"), to)
	var words []string
	for r := range to {
		words = append(words, r.word)
	}
	if diff := cmp.Diff([]string{reportAlive}, words); diff != "" {
		t.Error(diff)
	}
}

func TestReporterGoesOnAlone(t *testing.T) {
	t.Run("no parent", func(t *testing.T) {
		var r Reporter
		r.Ready()
		if r.Failed(errors.New("x")) {
			t.Error("nobody listens, yet somebody was told")
		}
	})
	t.Run("parent gone", func(t *testing.T) {
		reporter, r := newPipe(t)
		_ = r.Close()
		reporter.Ready()
		if reporter.Failed(errors.New("x")) {
			t.Error("nobody listens, yet somebody was told")
		}
	})
	t.Run("parent stuck", func(t *testing.T) {
		reporter, _ := newPipe(t)
		told := true
		for range 10 { // more than a pipe holds
			told = reporter.Failed(errors.New(strings.Repeat("x", maxReport)))
		}
		if told {
			t.Error("a full pipe takes more")
		}
	})
}
