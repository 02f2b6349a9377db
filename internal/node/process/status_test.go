package process

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const statusText = "Name:\tsluice\nPPid:\t41\nUid:\t0\t998\t998\t998\n" +
	"CapInh:\t000000c000003000\nCapPrm:\t000000c000003000\nCapEff:\t0000000000000001\n" +
	"CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t0\n"

func TestParseStatus(t *testing.T) {
	want := Status{
		Parent: 41, UID: 998, NoNewPrivs: true,
		Inheritable: NodeCaps, Permitted: NodeCaps, Effective: capSet(unix.CAP_CHOWN), Bounding: 1<<41 - 1,
	}
	got, err := parseStatus(statusText)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseStatusRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"set missing":    {"CapAmb:\t0000000000000000\n", "", "1 capability sets"},
		"set not a hex":  {"CapEff:\t0000000000000001", "CapEff:\tall", `"CapEff:\tall"`},
		"set overflows":  {"CapEff:\t0", "CapEff:\tf0", "CapEff"},
		"ids incomplete": {"Uid:\t0\t998\t998\t998", "Uid:\t0", "four ids"},
		"id not number":  {"Uid:\t0\t998", "Uid:\t0\tme", "Uid"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(statusText, c.old, c.new, 1)
			if text == statusText {
				t.Fatal("the case changes nothing")
			}
			got, err := parseStatus(text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("read %+v with error %v, want %q named", got, err, c.want)
			}
		})
	}
}

func TestReadStatus(t *testing.T) {
	self, err := ReadStatus(0)
	if err != nil {
		t.Fatal(err)
	}
	if self.UID != os.Geteuid() || self.Parent != os.Getppid() {
		t.Errorf("this process as %+v", self)
	}
	byNumber, err := ReadStatus(os.Getpid())
	if err != nil || byNumber != self {
		t.Errorf("by number %+v, %v; as self %+v", byNumber, err, self)
	}
	if _, err := ReadStatus(1 << 30); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a process that cannot be: %v, want os.ErrNotExist", err)
	}
}

// Whatever a kernel writes one day: an error or a value, never a panic.
func FuzzParseStatus(f *testing.F) {
	f.Add(statusText)
	f.Add("CapInh:")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseStatus(text)
		if err != nil && s != (Status{}) {
			t.Errorf("an error came with the value %+v", s)
		}
	})
}
