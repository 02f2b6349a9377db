package engine

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSize(t *testing.T) {
	for name, c := range map[string]struct {
		pinned   bool
		record   string // "" for none
		want     int
		recorded bool
	}{
		"fresh":               {false, "", 100, false},
		"fresh, old record":   {false, "7\n", 100, false},
		"pinned":              {true, "7\n", 7, true},
		"pinned, no record":   {true, "", 100, false},
		"pinned, bad record":  {true, "seven", 100, false},
		"pinned, zero record": {true, "0", 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Pins: filepath.Join(t.TempDir(), "pins"), DataDir: t.TempDir(), MaxFlows: 100}
			if c.pinned {
				if err := os.MkdirAll(filepath.Join(o.Pins, "v1"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if c.record != "" {
				if err := os.WriteFile(filepath.Join(o.DataDir, sizeFile), []byte(c.record), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, recorded, err := o.size(); got != c.want || recorded != c.recorded || err != nil {
				t.Errorf("size = %d, %t, %v; want %d, %t", got, recorded, err, c.want, c.recorded)
			}
		})
	}
}

func TestSizeIsRemembered(t *testing.T) {
	o := Options{Pins: t.TempDir(), DataDir: t.TempDir(), MaxFlows: 100}
	if err := os.Mkdir(filepath.Join(o.Pins, "v1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := o.recordSize(42); err != nil {
		t.Fatal(err)
	}
	if got, recorded, err := o.size(); got != 42 || !recorded || err != nil {
		t.Errorf("size = %d, %t, %v", got, recorded, err)
	}
}

// The files that the kernel puts at the top of each bpffs are no pins.
func TestPinned(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "maps.debug"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{dir: false, filepath.Join(dir, "not there"): false, filepath.Dir(dir): true} {
		if got, err := Pinned(path); got != want || err != nil {
			t.Errorf("Pinned(%q) = %t, %v", path, got, err)
		}
	}
	if _, err := Pinned(filepath.Join(dir, "maps.debug")); err == nil {
		t.Error("a file was taken for a directory of pins")
	}
}
