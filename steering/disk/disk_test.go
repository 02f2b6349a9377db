package disk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	var got map[string]int
	if err := Load(dir, "x.json", &got); err != nil || got != nil {
		t.Errorf("a file that does not exist gave %v, %v", got, err)
	}
	for _, text := range []string{`{"a": 1, "b": 2}`, `{"c": 3}`} {
		if err := Save(dir, "x.json", []byte(text)); err != nil {
			t.Fatal(err)
		}
		got = nil
		if err := Load(dir, "x.json", &got); err != nil || len(got) != strings.Count(text, ":") {
			t.Errorf("%s gave %v, %v", text, got, err)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("left %v", names)
	}
}

func TestSaveThatFailsLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	if err := Save(filepath.Join(dir, "none"), "x.json", nil); err == nil {
		t.Error("saved to a directory that does not exist")
	}
	// A directory in the way of the rename: all is written, nothing replaced.
	if err := os.MkdirAll(filepath.Join(dir, "x.json", "y"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, "x.json", []byte("{}")); err == nil {
		t.Error("replaced a directory")
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("left %v", names)
	}
	if err := Load(dir, "x.json", nil); err == nil {
		t.Error("read a directory")
	}
}
