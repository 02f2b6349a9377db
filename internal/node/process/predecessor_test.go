package process

import (
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Only a child of this very process is a predecessor: the environment is
// anybody's to set, and the process named there would be ended.
func TestPredecessor(t *testing.T) {
	child := startRole(t, "child")
	for name, c := range map[string]struct {
		value string
		want  int
	}{
		"child":      {strconv.Itoa(child.Process.Pid), child.Process.Pid},
		"stranger":   {"1", 0},
		"itself":     {strconv.Itoa(os.Getpid()), 0},
		"nobody":     {"999999999", 0},
		"no number":  {"all", 0},
		"our group":  {"0", 0},
		"everything": {"-1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(predecessorEnv, c.value)
			h := predecessor(predecessorEnv)
			got := 0
			if h != nil {
				got = h.pid
				h.close()
			}
			if got != c.want {
				t.Errorf("predecessor %d, want %d", got, c.want)
			}
			if _, found := os.LookupEnv(predecessorEnv); found {
				t.Error("the next program would find it, too")
			}
		})
	}
}

func TestChildEnv(t *testing.T) {
	in := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "NOTIFY=no", "WATCHDOG=", "LANG=C"}
	want := []string{"PATH=/bin", "NOTIFY=no", "WATCHDOG=", "LANG=C"}
	if diff := cmp.Diff(want, childEnv(in)); diff != "" {
		t.Error(diff)
	}
	if len(in) != 7 || in[1] != "NOTIFY_SOCKET=/run/x" {
		t.Error("the environment itself was changed")
	}
}
