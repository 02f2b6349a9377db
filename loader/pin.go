package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// schema names the layout of the maps; it is SCHEMA_VERSION of bpf/shared.h.
const schema = 1

// unpinned are maps one process uses for itself.
var unpinned = map[string]bool{
	"expire_batch":     true,
	"expire_key_batch": true,
	"icmp_credits":     true,
	"copy_batch":       true,
	"import_batch":     true,
	"memories":         true,
	"scratches":        true,
	"traces":           true,
	"workbenches":      true,
	".rodata":          true,
}

// pins is the folder tree of one layout:
//
//	DIR/v1/maps/NAME         DIR/v1/rings/SERVICE
//	DIR/v1/links/INTERFACE   DIR/v1/links/%dispatch
//	DIR/v1/decap/maps/NAME   DIR/v1/decap/links/INTERFACE
//
// Every link is below a folder links, so that removing those first takes every
// program off.
type pins struct {
	dir  string   // what the settings name
	root string   // dir/v1
	made []string // folders this process made on the way to root, outermost first
}

func (p pins) maps() string             { return filepath.Join(p.root, "maps") }
func (p pins) rings() string            { return filepath.Join(p.root, "rings") }
func (p pins) links() string            { return filepath.Join(p.root, "links") }
func (p pins) ring(id ServiceID) string { return filepath.Join(p.rings(), strconv.Itoa(int(id))) }

// second is the ring of second choices.
func (p pins) second(id ServiceID) string {
	return filepath.Join(p.rings(), "second-"+strconv.Itoa(int(id)))
}

func (p pins) dispatch() string { return filepath.Join(p.links(), dispatchLink) }

// dotInPin stands for the dot of an interface's name: a bpffs refuses dots.
const dotInPin = "%2E"

func (p pins) link(name string) string {
	return filepath.Join(p.links(), strings.ReplaceAll(name, ".", dotInPin))
}

// linkName is the interface of a pin below links.
func linkName(pin string) string { return strings.ReplaceAll(pin, dotInPin, ".") }

// openPins makes the folders and takes the lock that keeps a second process
// from changing the same maps.
func openPins(dir string) (p pins, lock *os.File, err error) {
	p = pinsOf(dir)
	if err := checkBPFFS(dir); err != nil {
		return p, nil, err
	}
	if err := refuseOtherSchema(p); err != nil {
		return p, nil, err
	}
	return p.open()
}

func pinsOf(dir string) pins {
	return pins{dir: dir, root: filepath.Join(dir, "v"+strconv.Itoa(schema))}
}

// openDecapPins does the same for the decap program, which has nothing in
// common with the others but the folder.
func openDecapPins(dir string) (p pins, lock *os.File, err error) {
	p = pinsOf(dir).decap()
	if err := checkBPFFS(dir); err != nil {
		return p, nil, err
	}
	if err := refuseOtherSchema(pinsOf(dir)); err != nil {
		return p, nil, err
	}
	return p.open()
}

func (p pins) decap() pins { return pins{dir: p.dir, root: filepath.Join(p.root, "decap")} }

func (p pins) open() (_ pins, lock *os.File, err error) {
	if p.made, err = makeFolders(p.root); err != nil {
		return p, nil, errors.Join(fmt.Errorf("make pin folder: %v", err), p.undo())
	}
	if lock, err = lockDir(p.root); err != nil {
		return p, nil, err
	}
	for _, sub := range []string{p.maps(), p.rings(), p.links()} {
		if err := os.Mkdir(sub, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return p, nil, errors.Join(fmt.Errorf("make pin folder: %v", err), lock.Close(), p.undo())
		}
	}
	return p, lock, nil
}

// makeFolders makes dir and what is missing above it, and says which folders
// it made, outermost first.
func makeFolders(dir string) (made []string, err error) {
	err = os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrNotExist) {
		if made, err = makeFolders(filepath.Dir(dir)); err != nil {
			return made, err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, os.ErrExist) {
		return made, nil
	}
	if err != nil {
		return made, err
	}
	return append(made, dir), nil
}

// checkBPFFS looks at dir or, where it does not exist yet, at the folder it
// would be made in.
func checkBPFFS(dir string) error {
	var fs unix.Statfs_t
	at := dir
	err := unix.Statfs(at, &fs)
	for errors.Is(err, unix.ENOENT) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		err = unix.Statfs(at, &fs)
	}
	if err != nil {
		return fmt.Errorf("look at pin folder %s: %v", at, err)
	}
	if fs.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("pin folder %s is not on a bpffs; run `mount -t bpf bpf %s`", dir, filepath.Dir(dir))
	}
	return nil
}

// refuseOtherSchema keeps two layouts from steering side by side.
func refuseOtherSchema(p pins) error {
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list pin folder: %v", err)
	}
	for _, e := range entries {
		if isLayout(e) && e.Name() != filepath.Base(p.root) {
			return fmt.Errorf("pin folder %s holds maps of layout %s, this program needs %s; run `sluice detach`, which ends forwarded flows, and start again", p.dir, e.Name(), filepath.Base(p.root))
		}
	}
	return nil
}

// isLayout says whether an entry of the pin folder is a layout of ours. A
// folder may be shared with others, whose pins are never touched.
func isLayout(e os.DirEntry) bool {
	number, ok := strings.CutPrefix(e.Name(), "v")
	_, err := strconv.ParseUint(number, 10, 32)
	return ok && err == nil && e.IsDir()
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open pin folder: %v", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock pin folder %s: another process has it; is `sluice run` running already?", dir), f.Close())
	}
	return f, nil
}

func pinByName(spec *ebpf.CollectionSpec) {
	for name, m := range spec.Maps {
		m.Pinning = ebpf.PinByName
		if unpinned[name] {
			m.Pinning = ebpf.PinNone
		}
	}
}

// undo removes the folders that this process made, with all that is in them.
func (p pins) undo() error {
	if slices.Contains(p.made, p.root) {
		if _, err := removePins(p.root); err != nil {
			return err
		}
	}
	for _, dir := range slices.Backward(p.made) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove pin folder: %v", err)
		}
	}
	return nil
}

// Detach takes every program of ours off and removes all pins below dir, of
// whatever layout, and dir where nothing else is in it. Flows that went through
// the programs end. It returns what it removed, links first, and is not an
// error where there was nothing. A folder that is not on a bpffs is refused.
func Detach(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pin folder: %v", err)
	}
	if err := checkBPFFS(dir); err != nil {
		return nil, err
	}
	var removed []string
	for _, e := range entries {
		if !isLayout(e) {
			continue
		}
		gone, err := removePins(filepath.Join(dir, e.Name()))
		removed = append(removed, gone...)
		if err != nil {
			return removed, err
		}
	}
	// It stays where it is a mount, holds the pins of others, or lies in a
	// folder that is not this user's.
	if os.Remove(dir) == nil {
		removed = append(removed, dir)
	}
	return removed, nil
}

// removePins removes the links first: a program must not run on while the maps
// it needs vanish from view.
func removePins(root string) ([]string, error) {
	var removed []string
	for _, dir := range []string{(pins{root: root}).links(), (pins{root: root}).decap().links()} {
		links, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list pinned links: %v", err)
		}
		for _, l := range links {
			path := filepath.Join(dir, l.Name())
			if err := removeLink(path); err != nil {
				return removed, fmt.Errorf("remove pinned link: %v", err)
			}
			removed = append(removed, path)
		}
	}
	if err := os.RemoveAll(root); err != nil {
		return removed, fmt.Errorf("remove pins: %v", err)
	}
	return append(removed, root), nil
}

// removeLink takes a program off and removes the pin of its link. Without the
// former the kernel takes it off when it finds the time, and meanwhile the
// interface seems to be somebody else's.
func removeLink(path string) error {
	if l, err := link.LoadPinnedLink(path, nil); err == nil {
		// What it was attached to may be gone; the pin goes all the same.
		_ = l.Detach()
		l.Close()
	}
	return os.Remove(path)
}
