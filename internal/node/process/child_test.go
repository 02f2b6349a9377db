package process

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The end of a child is heard of even where a process of its own keeps its pipe
// open; one with a reporter leaves it to nobody.
func TestEndOfAChildWithAnHeir(t *testing.T) {
	for _, how := range []string{"reporter", "leaky"} {
		t.Run(how, func(t *testing.T) {
			deliver := make(chan news)
			next := func() news {
				select {
				case n := <-deliver:
					return n
				case <-time.After(15 * time.Second):
					t.Fatal("nothing was heard")
				}
				return news{}
			}
			c, err := startChild(confinement{uid: os.Geteuid(), gid: os.Getegid()}, []string{"sluice", "heir", how}, deliver)
			if err != nil {
				t.Fatal(err)
			}
			said := next()
			heir, err := strconv.Atoi(said.report.text)
			if said.of != c || said.report.word != "heir" || err != nil || heir < 2 {
				t.Fatalf("news %+v, %v", said, err)
			}
			defer unix.Kill(heir, unix.SIGKILL) //nolint:errcheck // it may have ended
			if n := next(); n.of != c || n.end == nil || !n.end.Success() {
				t.Errorf("news %+v", n)
			}
			pipe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(heir), "fd", strconv.Itoa(reportFD)))
			if left := err == nil; left != (how == "leaky") {
				t.Errorf("the heir has %q, %v", pipe, err)
			}
		})
	}
}
