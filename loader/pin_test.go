package loader_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/nettest"
	"sluice/loader"
)

// tryOpen opens a dataplane inside a namespace; the test closes it if it can be
// opened.
func tryOpen(t *testing.T, n *nettest.Namespace, o loader.Options) (*loader.Dataplane, error) {
	t.Helper()
	var dp *loader.Dataplane
	err := n.Do(func() (err error) {
		dp, err = loader.Open(o)
		return err
	})
	if err == nil {
		t.Cleanup(func() { dp.Close() })
	}
	return dp, err
}

func openIn(t *testing.T, n *nettest.Namespace, o loader.Options) *loader.Dataplane {
	t.Helper()
	dp, err := tryOpen(t, n, o)
	must(t, err)
	return dp
}

// alone is a namespace with one link, and options that attach to it.
func alone(t *testing.T) (*nettest.Namespace, loader.Options) {
	t.Helper()
	n, _ := pair(t, "a")
	o := testOptions(t)
	o.Interfaces = []string{"a"}
	return n, o
}

// serveOn makes a service without a backend. It returns where that listens, and
// by which link its packets come.
func serveOn(t *testing.T, dp *loader.Dataplane, n *nettest.Namespace, mode loader.Mode) (netip.AddrPort, int) {
	t.Helper()
	listen := netip.MustParseAddrPort("192.0.2.3:22")
	must(t, dp.PutService(testService, loader.Service{Listen: listen, Mode: mode}))
	must(t, dp.Publish(testService))
	index, err := n.Index("a")
	must(t, err)
	return listen, index
}

// bare is a namespace without links, and options that attach to none.
func bare(t *testing.T) (*nettest.Namespace, loader.Options) {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	o := testOptions(t)
	o.Interfaces = nil
	return nettest.ForTest(t), o
}

func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there (%v)", path, err)
	}
}

func TestOpenNeedsABPFFS(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "a", "sluice")
	_, err := loader.Open(loader.Options{Dir: dir})
	wantError(t, err, dir, "not on a bpffs", "mount -t bpf bpf "+filepath.Join(parent, "a"))
	absent(t, filepath.Join(parent, "a"))
}

func TestOpenMakesTheFoldersItNeeds(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	o.Dir = filepath.Join(o.Dir, "deeper", "still")
	dp := openIn(t, n, o)
	info, err := os.Stat(o.Dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of pins has mode %v; it must be its owner's alone", info.Mode())
	}
	must(t, dp.Close())
	_, err = loader.Detach(o.Dir)
	must(t, err)
	absent(t, o.Dir)
}

// An older or newer program's maps are neither used nor left to steer beside
// ours; what is not a layout is not our business.
func TestOpenRefusesAnotherLayout(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	must(t, os.MkdirAll(filepath.Join(o.Dir, "v0", "maps"), 0o700))
	must(t, os.MkdirAll(filepath.Join(o.Dir, "vendor"), 0o700))
	_, err := tryOpen(t, n, o)
	wantError(t, err, "layout v0", "needs v1", "sluice detach")
	absent(t, filepath.Join(o.Dir, "v1"))

	removed, err := loader.Detach(o.Dir)
	must(t, err)
	if diff := cmp.Diff([]string{filepath.Join(o.Dir, "v0")}, removed); diff != "" {
		t.Errorf("removed differs (-want +got):\n%s", diff)
	}
	openIn(t, n, o)
	if _, err := os.Stat(filepath.Join(o.Dir, "vendor")); err != nil {
		t.Errorf("a folder of others was removed: %v", err)
	}
}

func TestOneProcessHoldsTheMaps(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	other := otherProcess(t, n, o)
	if !other.opened() {
		t.Fatal(other.said)
	}
	_, err := tryOpen(t, n, o)
	wantError(t, err, o.Dir, "another process has it", "is `sluice run` running already")
	other.end()
	dp := openIn(t, n, o)

	late := otherProcess(t, n, o)
	if late.opened() {
		t.Error("a second process opened what this one holds")
	}
	wantText(t, late.said, "another process has it")
	must(t, dp.PutService(testService, shapes()["hide v4"]))
}

func TestDetachSparesWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "v1", "maps")
	must(t, os.MkdirAll(root, 0o700))
	_, err := loader.Detach(dir)
	wantError(t, err, dir, "not on a bpffs")
	if _, err := os.Stat(root); err != nil {
		t.Errorf("a folder outside of any bpffs was removed: %v", err)
	}
	removed, err := loader.Detach(filepath.Join(dir, "never", "made"))
	if err != nil || removed != nil {
		t.Errorf("detaching nothing removed %v (%v)", removed, err)
	}
}
