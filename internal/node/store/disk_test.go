package store

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

var errPlug = errors.New("the plug was pulled")

// plugDisk is a disk in memory whose plug is pulled at a chosen step. What was
// not synced by then may or may not be there afterwards.
type plugDisk struct {
	steps int // left until the plug; negative never pulls it
	fail  bool
	now   map[string][]byte   // as programs see it
	kept  map[string][]byte   // as it survives
	dirty map[string]struct{} // names whose change is not kept yet
}

func newPlugDisk() *plugDisk {
	return &plugDisk{steps: -1, now: map[string][]byte{}, kept: map[string][]byte{}, dirty: map[string]struct{}{}}
}

// step fails once the plug is out, and for ever after. With fail set it fails
// this once: a disk that reports an error and goes on.
func (d *plugDisk) step() error {
	if d.steps == 0 {
		if d.fail {
			d.steps = -1
		}
		return errPlug
	}
	if d.steps > 0 {
		d.steps--
	}
	return nil
}

func (d *plugDisk) makeDir(string) error { return nil }

func (d *plugDisk) list(string) ([]string, error) {
	names := make([]string, 0, len(d.now))
	for path := range d.now {
		names = append(names, filepath.Base(path))
	}
	slices.Sort(names)
	return names, nil
}

func (d *plugDisk) read(path string) ([]byte, error) {
	data, found := d.now[path]
	if !found {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(data), nil
}

// write has two steps, so that the plug can come between making the file and
// its content being safe.
func (d *plugDisk) write(path string, data []byte) error {
	if err := d.step(); err != nil {
		return err
	}
	d.now[path] = slices.Clone(data[:len(data)/2])
	d.dirty[path] = struct{}{}
	if err := d.step(); err != nil {
		return err
	}
	d.now[path] = slices.Clone(data)
	return nil
}

func (d *plugDisk) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.now[to] = d.now[from]
	delete(d.now, from)
	d.dirty[from], d.dirty[to] = struct{}{}, struct{}{}
	return nil
}

func (d *plugDisk) remove(path string) error {
	if err := d.step(); err != nil {
		return err
	}
	if _, found := d.now[path]; !found {
		return fs.ErrNotExist
	}
	delete(d.now, path)
	d.dirty[path] = struct{}{}
	return nil
}

func (d *plugDisk) syncDir(string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.kept = maps.Clone(d.now)
	clear(d.dirty)
	return nil
}

// afterPowerLoss is the disk as the next boot may find it: each name that was
// not synced is in its old or its new state.
func (d *plugDisk) afterPowerLoss(r *rand.Rand) *plugDisk {
	next := newPlugDisk()
	next.now = maps.Clone(d.kept)
	for _, path := range slices.Sorted(maps.Keys(d.dirty)) {
		if r.IntN(2) == 0 {
			continue
		}
		if data, found := d.now[path]; found {
			next.now[path] = data
		} else {
			delete(next.now, path)
		}
	}
	next.kept = maps.Clone(next.now)
	return next
}

// afterKill is the disk after the process alone died: nothing is lost.
func (d *plugDisk) afterKill() *plugDisk {
	next := newPlugDisk()
	next.now, next.kept = maps.Clone(d.now), maps.Clone(d.now)
	return next
}
