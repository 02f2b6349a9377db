package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/config"
	"sluice/internal/control"
)

func TestReport(t *testing.T) {
	_, faults := config.Parse("f.yaml", []byte("colour: red\n"), config.Hostname("gw-a"))
	for _, tt := range []struct {
		err  error
		code int
		want string
	}{
		{nil, 0, ""},
		{errors.New("load program: not permitted; run as root"), 1, "sluice: load program: not permitted; run as root\n"},
		{usage("write it so", "what is %q", "x"), 2, "sluice: what is \"x\"\nhint: write it so\n"},
		{fail("", "broken"), 1, "sluice: broken\n"},
		{fmt.Errorf("outer: %w", fail("do it", "inner")), 1, "sluice: inner\nhint: do it\n"},
		{&control.Error{Message: "no", Hint: "yes", Details: []string{"f.yaml:1:1: a", "f.yaml:2:1: b"}}, 1,
			"f.yaml:1:1: a\nf.yaml:2:1: b\nsluice: no\nhint: yes\n"},
		{fmt.Errorf("start: %w", faults), 1, "f.yaml:1:1: colour: unknown key; "},
	} {
		var b bytes.Buffer
		if code := report(&b, tt.err); code != tt.code || !strings.HasPrefix(b.String(), tt.want) {
			t.Errorf("%v: code %d and\n%s\nwant %d and\n%s", tt.err, code, b.String(), tt.code, tt.want)
		}
	}
}

func TestUnreachableHints(t *testing.T) {
	for cause, want := range map[error]string{
		fs.ErrNotExist:         `no node runs with this socket: start one with "sluice run"`,
		syscall.ECONNREFUSED:   "the node that made this socket is dead",
		fs.ErrPermission:       "may not: ask as root",
		os.ErrDeadlineExceeded: "runs but does not answer",
		errors.New("EOF"):      "ended in the middle of an answer",
	} {
		n := &remote{socket: "s", guessed: true}
		err := n.explain(&control.UnreachableError{Socket: "s", Err: cause})
		var f *failure
		if !errors.As(err, &f) || len(f.hints) != 2 || !strings.Contains(f.hints[0], want) {
			t.Errorf("%v: %#v, want hint %q", cause, err, want)
		}
	}
	other := errors.New("other")
	if err := new(remote).explain(other); err != other {
		t.Errorf("%v became %v", other, err)
	}
}
