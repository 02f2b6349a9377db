package keepalived

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"sluice/internal/config"
)

// FuzzImport holds for any text: it does not panic, faults and differences are
// single lines with a place, and what comes out is YAML with keys that settings
// know, whatever stands in it.
func FuzzImport(f *testing.F) {
	names, err := filepath.Glob("testdata/import/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data, a.Files[min(1, len(a.Files)-2)].Data)
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		files := fstest.MapFS{"one": {Data: one}, "two": {Data: two}}
		for _, nodes := range [][]Node{
			{{Name: "a", FS: files, File: "one"}},
			{{Name: "", FS: files, File: "one"}, {Name: "other-node", FS: files, File: "two"}},
		} {
			got, err := Import(nodes)
			if err != nil {
				oneLineEach(t, err)
				continue
			}
			for _, n := range got.Left {
				if strings.ContainsAny(n.Error(), "\n\r\x1b") || n.Line == 0 {
					t.Errorf("not one line with its place: %q", n.Error())
				}
			}
			_, err = config.Parse("s.yaml", got.Settings, config.Hostname("a"))
			faults, _ := errors.AsType[*config.Faults](err)
			for i := 0; faults != nil && i < len(faults.List); i++ {
				if fault := faults.List[i]; fault.Path == "" || strings.Contains(fault.Problem, "unknown key") {
					t.Errorf("%v in\n%s", fault, got.Settings)
				}
			}
		}
	})
}

func oneLineEach(t *testing.T, err error) {
	faults, ok := errors.AsType[*config.Faults](err)
	if !ok {
		t.Fatalf("the error is %T", err)
	}
	for _, fault := range faults.List {
		if strings.ContainsAny(fault.Error(), "\n\r\x1b") || fault.Remedy == "" {
			t.Errorf("not one line with a remedy: %q", fault.Error())
		}
	}
}
