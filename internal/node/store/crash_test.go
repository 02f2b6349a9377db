package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// countSteps returns how many steps an action takes on a copy of a disk.
func countSteps(t *testing.T, d *plugDisk, action func(*Store) error) int {
	t.Helper()
	d = d.afterKill()
	s, err := open("/s", d)
	if err != nil {
		t.Fatal(err)
	}
	const plenty = 1000
	d.steps = plenty
	if err := action(s); err != nil {
		t.Fatal(err)
	}
	return plenty - d.steps
}

// The plug is pulled at every step of every kind of write, and what the disk
// had not promised is there or not by the toss of a coin: what is found is
// always the old state or the new, and the new one where it was promised.
func TestCrashAtEveryStep(t *testing.T) {
	actions := map[string]func(*Store) error{
		"commit from file": func(s *Store) error { _, err := s.Commit([]byte("new"), FromFile); return err },
		"commit from API":  func(s *Store) error { _, err := s.Commit([]byte("new"), FromAPI); return err },
		"note file":        func(s *Store) error { return s.NoteFile([]byte("old # noted")) },
	}
	for name, action := range actions {
		for _, generations := range []int{0, 1, Keep} { // nothing before, something, and one to prune
			if generations == 0 && name == "note file" {
				continue // there is nothing that the file could equal
			}
			t.Run(fmt.Sprintf("%s after %d", name, generations), func(t *testing.T) {
				before := newPlugDisk()
				s, err := open("/s", before)
				if err != nil {
					t.Fatal(err)
				}
				for range generations {
					if _, err := s.Commit([]byte("old"), FromFile); err != nil {
						t.Fatal(err)
					}
				}
				before.kept = before.afterKill().now
				clear(before.dirty)
				for step := range countSteps(t, before, action) + 1 {
					crashAt(t, before, step, action)
				}
			})
		}
	}
}

func crashAt(t *testing.T, before *plugDisk, step int, action func(*Store) error) {
	t.Helper()
	d := before.afterKill()
	s, err := open("/s", d)
	if err != nil {
		t.Fatal(err)
	}
	old := s.Current()
	d.steps = step
	promised := action(s) == nil
	r := rand.New(rand.NewPCG(uint64(step), 1))
	for try := range 20 {
		found := d.afterKill()
		if try > 0 {
			found = d.afterPowerLoss(r)
		}
		again, err := open("/s", found)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		checkCrash(t, step, old, s, again, promised)
		// And the store works on.
		if g, err := again.Commit([]byte("later"), FromAPI); err != nil || g.Number <= old.Number {
			t.Errorf("step %d: after it generation %d, %v", step, g.Number, err)
		}
	}
}

func checkCrash(t *testing.T, step int, old Generation, s, again *Store, promised bool) {
	t.Helper()
	got := again.Current()
	switch {
	case len(again.Alarms()) != 0:
		t.Errorf("step %d: %q although no data was damaged", step, again.Alarms())
	case promised && (got.Number != s.Current().Number || string(again.Seen().Text) != string(s.Seen().Text)):
		t.Errorf("step %d: promised generation %d and file %q, found %d and %q", step,
			s.Current().Number, s.Seen().Text, got.Number, again.Seen().Text)
	case got.Number == old.Number && string(got.Text) == string(old.Text):
	case got.Number > old.Number && string(got.Text) == "new":
	default:
		t.Errorf("step %d: found generation %d %q", step, got.Number, got.Text)
	}
}

// A disk that fails and goes on: an error leaves what ran before as current, in
// memory and after a restart.
func TestFailedWriteChangesNothing(t *testing.T) {
	before := newPlugDisk()
	s, err := open("/s", before)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit([]byte("old"), FromFile); err != nil {
		t.Fatal(err)
	}
	commit := func(s *Store) error { _, err := s.Commit([]byte("new"), FromAPI); return err }
	for step := range countSteps(t, before, commit) {
		d := before.afterKill()
		s, err := open("/s", d)
		if err != nil {
			t.Fatal(err)
		}
		d.steps, d.fail = step, true
		if err := commit(s); err != nil {
			if n := s.Current().Number; n != 1 {
				t.Errorf("step %d: %v, yet generation %d runs", step, err, n)
			}
			if again, err := open("/s", d); err != nil || again.Current().Number != 1 {
				t.Errorf("step %d: a restart finds generation %d, %v", step, again.Current().Number, err)
			}
		}
		if g, err := s.Commit([]byte("later"), FromAPI); err != nil || g.Number < 2 {
			t.Errorf("step %d: after it generation %d, %v", step, g.Number, err)
		}
	}
}

// Whatever stands in a file: a record that reads is one that would be written.
func FuzzDecode(f *testing.F) {
	record, err := encode(Generation{Number: 3, Origin: FromAPI, Text: []byte("a: 1\n")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add([]byte(format))
	f.Fuzz(func(t *testing.T, record []byte) {
		g, err := decode(record)
		if err != nil {
			return
		}
		again, err := encode(g)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(again); err != nil || back.Number != g.Number || string(back.Text) != string(g.Text) {
			t.Errorf("%+v came back as %+v, %v", g, back, err)
		}
	})
}
