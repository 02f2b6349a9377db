package keepalived

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"sluice/internal/config"
)

var update = flag.Bool("update", false, "write the golden settings anew")

// golden is the section of an archive with the settings that are wanted.
const golden = "sluice.yaml"

// nodesOf makes nodes of an archive, as its first line names them.
func nodesOf(t *testing.T, a *txtar.Archive) []Node {
	t.Helper()
	files := fstest.MapFS{}
	for _, f := range a.Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	first, _, _ := strings.Cut(string(a.Comment), "\n")
	list, ok := strings.CutPrefix(first, "nodes: ")
	if !ok {
		t.Fatalf("the archive begins with %q", first)
	}
	var nodes []Node
	for _, n := range strings.Fields(list) {
		name, file, _ := strings.Cut(n, "=")
		nodes = append(nodes, Node{Name: name, FS: files, File: file, Dir: "/etc/keepalived"})
	}
	return nodes
}

// TestImport translates each archive and compares the settings. They hold for
// each of the nodes, but where a value is not known; that alone is refused then.
func TestImport(t *testing.T) {
	archives, err := filepath.Glob("testdata/import/*.txtar")
	if err != nil || len(archives) < 6 {
		t.Fatalf("%d archives, %v", len(archives), err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Import(nodesOf(t, a))
			if err != nil {
				t.Fatal(err)
			}
			last := &a.Files[len(a.Files)-1]
			if *update {
				if last.Name != golden {
					a.Files = append(a.Files, txtar.File{Name: golden})
					last = &a.Files[len(a.Files)-1]
				}
				last.Data = got.Settings
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(last.Data), string(got.Settings)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, n := range nodesOf(t, a) {
				holds(t, got, n.Name)
			}
		})
	}
}

// holds checks that settings hold for a node.
func holds(t *testing.T, got *Imported, node string) {
	t.Helper()
	if node == "" {
		s := string(got.Settings)
		if _, rest, found := strings.Cut(s, "nodes:\n  "); found {
			node, _, _ = strings.Cut(rest, ":")
		}
	}
	_, err := config.Parse("sluice.yaml", got.Settings, config.Hostname(node))
	if err == nil && got.Unknown == 0 {
		return
	}
	faults, ok := errors.AsType[*config.Faults](err)
	if !ok || len(faults.List) != got.Unknown {
		t.Errorf("on %s, with %d unknown values: %v", node, got.Unknown, err)
		return
	}
	for _, f := range faults.List {
		if f.Problem != "has no value" {
			t.Errorf("on %s: %v", node, f)
		}
	}
}
