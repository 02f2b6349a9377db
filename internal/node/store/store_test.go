package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustOpen(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustCommit(t *testing.T, s *Store, text string, origin Origin) Generation {
	t.Helper()
	g, err := s.Commit([]byte(text), origin)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestStoreStartsEmpty(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "settings"))
	if s.Current().Number != 0 || s.Seen().Generation != 0 || s.FileIsBehind() || len(s.Alarms()) != 0 {
		t.Errorf("a new store has %+v", s)
	}
	if v := s.Judge([]byte("a")); v != Next {
		t.Errorf("the first file is judged %d", v)
	}
}

func TestStoreSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustCommit(t, s, "one", FromFile)
	want := mustCommit(t, s, "two\n\nlines", FromAPI)
	if want.Number != 2 || time.Since(want.Time) > time.Minute {
		t.Errorf("committed %+v", want)
	}

	s = mustOpen(t, dir)
	if diff := cmp.Diff(want, s.Current()); diff != "" {
		t.Errorf("current (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Seen{Generation: 1, Text: []byte("one")}, s.Seen()); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	if g, err := s.Load(1); err != nil || string(g.Text) != "one" || g.Origin != FromFile {
		t.Errorf("generation 1 is %+v, %v", g, err)
	}
	if _, err := s.Load(7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a generation that never was: %v", err)
	}
}

func TestStoreIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "settings")
	mustCommit(t, mustOpen(t, dir), "one", FromFile)
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "generation-1"): 0o600, filepath.Join(dir, "file"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestStoreKeepsTheLast(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	for n := range Keep + 5 {
		mustCommit(t, s, fmt.Sprint(n), FromAPI)
	}
	s = mustOpen(t, dir)
	if got := s.Current().Number; got != Keep+5 {
		t.Errorf("current is %d", got)
	}
	if _, err := s.Load(5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("generation 5 should be gone: %v", err)
	}
	if _, err := s.Load(6); err != nil {
		t.Errorf("generation 6 should be kept: %v", err)
	}
}

func TestStoreBoundsText(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	if _, err := s.Commit(make([]byte, MaxText+1), FromAPI); err == nil {
		t.Error("a text over the limit was stored")
	}
	mustCommit(t, s, strings.Repeat("x", MaxText), FromAPI)
}

// The rule of file and store, step by step.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		before     func(t *testing.T, s *Store)
		file       string
		want       Verdict
		wantBehind bool
	}{
		"unchanged": {
			func(t *testing.T, s *Store) { mustCommit(t, s, "a", FromFile) },
			"a", Unchanged, false},
		"changed": {
			func(t *testing.T, s *Store) { mustCommit(t, s, "a", FromFile) },
			"b", Next, false},
		"unchanged, newer by API": {
			func(t *testing.T, s *Store) { mustCommit(t, s, "a", FromFile); mustCommit(t, s, "z", FromAPI) },
			"a", Unchanged, true},
		"changed, newer by API": {
			func(t *testing.T, s *Store) { mustCommit(t, s, "a", FromFile); mustCommit(t, s, "z", FromAPI) },
			"b", Conflict, true},
		"never read, newer by API": {
			func(t *testing.T, s *Store) { mustCommit(t, s, "z", FromAPI) },
			"z", Conflict, true},
		"changed after it was found equal": {
			func(t *testing.T, s *Store) {
				mustCommit(t, s, "a", FromFile)
				mustCommit(t, s, "z", FromAPI)
				if err := s.NoteFile([]byte("z # with a comment")); err != nil {
					t.Fatal(err)
				}
			},
			"b", Next, false},
		"unchanged since it was found equal": {
			func(t *testing.T, s *Store) {
				mustCommit(t, s, "a", FromFile)
				if err := s.NoteFile([]byte("a # with a comment")); err != nil {
					t.Fatal(err)
				}
			},
			"a # with a comment", Unchanged, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir)
			c.before(t, s)
			for range 2 { // as it is, and after a restart
				if got := s.Judge([]byte(c.file)); got != c.want {
					t.Errorf("judged %d, want %d", got, c.want)
				}
				if got := s.FileIsBehind(); got != c.wantBehind {
					t.Errorf("behind %t, want %t", got, c.wantBehind)
				}
				s = mustOpen(t, dir)
			}
		})
	}
}

func TestStoreFallsBackFromDamage(t *testing.T) {
	for name, damage := range map[string]func(record []byte) []byte{
		"bit":       func(r []byte) []byte { r[len(r)-1] ^= 1; return r },
		"header":    func(r []byte) []byte { r[len(format)+70] ^= 1; return r },
		"checksum":  func(r []byte) []byte { r[len(format)] ^= 1; return r },
		"cut":       func(r []byte) []byte { return r[:len(r)-1] },
		"longer":    func(r []byte) []byte { return append(r, 'x') },
		"empty":     func([]byte) []byte { return nil },
		"no format": func(r []byte) []byte { return r[1:] },
		"too large": func(r []byte) []byte { return append(r, make([]byte, MaxText+8192)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir)
			mustCommit(t, s, "good", FromFile)
			mustCommit(t, s, "lost", FromAPI)
			path := filepath.Join(dir, "generation-2")
			record, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(record), 0o600); err != nil {
				t.Fatal(err)
			}

			s = mustOpen(t, dir)
			if got := s.Current(); got.Number != 1 || string(got.Text) != "good" {
				t.Errorf("runs %+v", got)
			}
			if alarms := strings.Join(s.Alarms(), "\n"); !strings.Contains(alarms, "generation 2") || !strings.Contains(alarms, "generation 1 runs instead") {
				t.Errorf("alarms %q", alarms)
			}
			// The number is used up: two texts under one number would be worse
			// than a gap.
			if g := mustCommit(t, s, "next", FromAPI); g.Number != 3 || len(s.Alarms()) != 0 {
				t.Errorf("next is %d with alarms %q", g.Number, s.Alarms())
			}
		})
	}
}

// A generation made from the file is damaged: the file, though unchanged, is
// taken again.
func TestStoreRestoresFromTheFile(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustCommit(t, s, "a", FromFile)
	mustCommit(t, s, "b", FromFile)
	if err := os.Truncate(filepath.Join(dir, "generation-2"), 3); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir)
	if v := s.Judge([]byte("b")); v != Next {
		t.Errorf("judged %d, want the file to be taken", v)
	}
}

func TestStoreWithNothingWhole(t *testing.T) {
	dir := t.TempDir()
	mustCommit(t, mustOpen(t, dir), "a", FromAPI)
	if err := os.Truncate(filepath.Join(dir, "generation-1"), 3); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir)
	if s.Current().Number != 0 || s.Judge([]byte("a")) != Next {
		t.Errorf("runs %+v", s.Current())
	}
	if alarms := strings.Join(s.Alarms(), "\n"); !strings.Contains(alarms, "no generation is readable") {
		t.Errorf("alarms %q", alarms)
	}
}

func TestOpenReportsWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(path); err == nil {
		t.Errorf("opened a file as %+v", s)
	}
}
