package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrows says who may import whom within the module, downwards only. A package
// stands for those below it, and may import them.
var arrows = map[string][]string{
	"cmd/sluice":       {"internal/node", "internal/control", "internal/config"},
	"internal/node":    {"steering", "sshd", "replicate", "vip", "internal/control", "internal/config", "loader", "internal/dump"},
	"internal/control": {"internal/config"},
	"steering":         {"loader", "internal/config", "internal/dump"},
	"sshd":             {"internal/config"},
	"replicate":        {"internal/config"},
	"vip":              {"internal/config", "internal/dump"},
	"internal/config":  {},
	"internal/dump":    {},
	"loader":           {},
	"internal/nettest": {},
	// Tests of the whole product have no code of their own.
	"internal/e2e": {},
	// Programs for developers may look into everything, and nobody into them.
	"tools": {"cmd/sluice", "internal/node", "internal/control", "internal/config", "internal/nettest", "steering", "sshd", "replicate", "vip", "loader"},
}

// beside are imports that tests may have besides those of their package.
var beside = []string{"internal/nettest", "internal/config", "loader"}

// fenced are foreign packages that belong in one place, or, with none, in no
// place at all.
var fenced = map[string][]string{
	"C":                                  {},
	"log":                                {},
	"plugin":                             {},
	"net/http/pprof":                     {},
	"github.com/stretchr/testify":        {},
	"testing":                            {},
	"github.com/urfave/cli/v2":           {"cmd/sluice", "tools"},
	"github.com/prometheus":              {"internal/node/metrics"},
	"github.com/coreos/go-systemd":       {"internal/node/process"},
	"github.com/vishvananda/netns":       {"internal/nettest", "tools"},
	"github.com/flynn/noise":             {"steering/flowsync/seal"},
	"github.com/gopacket/gopacket":       {"internal/nettest", "tools"},
	"golang.org/x/crypto/ssh/agent":      {"internal/nettest", "sshd", "tools"},
	"golang.org/x/crypto/ssh/knownhosts": {"internal/nettest", "sshd", "tools"},
}

// goPackage is what `go list` tells.
type goPackage struct {
	ImportPath, Name, Dir              string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

const module = "sluice"

// packages are all of the module.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Dir,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var list []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 10 {
		t.Fatalf("found only %d packages", len(list))
	}
	return list
}

// local is the path below the module's root; ok is false for foreign packages.
func local(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// under says whether a path is one of the roots or below one.
func under(p string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return p == root || strings.HasPrefix(p, root+"/") })
}

// rootOf is the entry of arrows that a package is of.
func rootOf(p string) string {
	for root := range arrows {
		if under(p, root) {
			return root
		}
	}
	return ""
}

func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := local(p.ImportPath)
		root := rootOf(from)
		if root == "" {
			t.Errorf("%s has no place in the house: name it in arrows, or move it", from)
			continue
		}
		check := func(kind string, imports []string, may []string) {
			for _, imported := range imports {
				if to, ours := local(imported); ours && !under(to, may...) {
					t.Errorf("%s %s imports %s, which is not below it", kind, from, to)
				}
			}
		}
		may := append([]string{root}, arrows[root]...)
		check("package", p.Imports, may)
		if root != "internal/e2e" {
			may = append(may, beside...)
			check("test of", append(p.TestImports, p.XTestImports...), may)
		}
	}
}

func TestFences(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := local(p.ImportPath)
		for _, imported := range p.Imports {
			for fence, inside := range fenced {
				if (imported == fence || strings.HasPrefix(imported, fence+"/") && strings.Contains(fence, ".")) && !under(from, inside...) {
					t.Errorf("%s imports %s, which only %v may", from, imported, inside)
				}
			}
		}
	}
}

// Drawers have names that say nothing.
func TestNoDrawers(t *testing.T) {
	for _, p := range packages(t) {
		if base := path.Base(p.ImportPath); slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types"}, base) {
			t.Errorf("package %s is named after nothing", p.ImportPath)
		}
	}
}

// Each package says once what it is, in the file named like it or doc.go.
func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		var with []string
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Errorf("%s: %v", p.ImportPath, err)
				continue
			}
			if isDoc(file.Doc) {
				with = append(with, name)
			}
		}
		if len(p.GoFiles) > 0 && len(with) != 1 {
			t.Errorf("package %s has a package doc in %d files: %v", p.ImportPath, len(with), with)
		}
	}
}

// isDoc says whether a comment is for readers: directives are not.
func isDoc(c *ast.CommentGroup) bool { return c != nil && strings.TrimSpace(c.Text()) != "" }
