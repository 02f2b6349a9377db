package nettest

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Build builds a program of the module, such as "sluice/cmd/sluice", as it ships,
// in a directory of its own, and returns its path and what removes it.
func Build(pkg string) (program string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "sluice-test-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	program = filepath.Join(dir, path.Base(pkg))
	build := exec.Command("go", "build", "-o", program, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("build %s: %v\n%s", pkg, err, out)
	}
	return program, remove, nil
}
