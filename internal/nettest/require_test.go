package nettest

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a TB that notes what a test would have been told.
type recorder struct {
	skipped, failed string
	cleanups        []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(fn func())         { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Skipf(f string, a ...any)  { r.skipped = fmt.Sprintf(f, a...) }
func (r *recorder) Errorf(f string, a ...any) { r.failed = fmt.Sprintf(f, a...) }
func (r *recorder) Fatalf(f string, a ...any) { r.failed = fmt.Sprintf(f, a...) }

func TestRequire(t *testing.T) {
	met := Need{"air", func() error { return nil }}
	rocket := Need{"a rocket", func() error { return errors.New("none here") }}
	tests := map[string]struct {
		env           string
		needs         []Need
		skips, failed []string
	}{
		"nothing":             {},
		"met":                 {needs: []Need{met}},
		"met, no skips":       {env: "all", needs: []Need{met}},
		"missing":             {needs: []Need{met, rocket, Program("no-such")}, skips: []string{"a rocket: none here", "program no-such", "; "}},
		"missing, no skips":   {env: "all", needs: []Need{rocket}, failed: []string{"a rocket: none here", RequireEnv}},
		"another requirement": {env: "some", needs: []Need{rocket}, skips: []string{"a rocket"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(RequireEnv, tt.env)
			r := &recorder{}
			Require(r, tt.needs...)
			for what, check := range map[string]struct {
				got  string
				want []string
			}{"skipped": {r.skipped, tt.skips}, "failed": {r.failed, tt.failed}} {
				if (check.got != "") != (len(check.want) > 0) {
					t.Errorf("%s with %q, want %q", what, check.got, check.want)
				}
				for _, w := range check.want {
					if !strings.Contains(check.got, w) {
						t.Errorf("%s with %q, which lacks %q", what, check.got, w)
					}
				}
				if strings.Contains(check.got, "\n") {
					t.Errorf("%s with several lines: %q", what, check.got)
				}
			}
		})
	}
}

func TestFindProgram(t *testing.T) {
	// The administrator's programs count where PATH does not name their place.
	t.Setenv("PATH", "/bin")
	Require(t, Program("sh"))
	path, err := FindProgram("sh")
	if err != nil || !filepath.IsAbs(path) {
		t.Errorf("sh is %q (%v)", path, err)
	}
	t.Setenv("PATH", t.TempDir())
	if path, err := FindProgram("ldconfig"); err == nil && !strings.Contains(path, "/sbin/") {
		t.Errorf("ldconfig is %q", path)
	}
	_, err = FindProgram("no-such-program")
	wantError(t, err, "no-such-program", "not installed")
}

func TestNeedsOfThisMachine(t *testing.T) {
	Require(t, Root, Namespaces, BPF)
	home := here(t)
	for _, n := range []Need{Root, Namespaces, BPF} {
		if err := n.missing(); err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
	}
	if here(t) != home {
		t.Error("looking for namespaces left this thread in one")
	}
}

func TestForTestReportsWhatDoesNotClose(t *testing.T) {
	r := &recorder{}
	closeAfter(r, func() error { return errors.New("stuck") })
	for _, fn := range r.cleanups {
		fn()
	}
	if !strings.Contains(r.failed, "stuck") {
		t.Errorf("failed with %q", r.failed)
	}
}
