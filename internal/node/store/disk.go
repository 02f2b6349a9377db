package store

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// disk is what the store asks of a file system; tests pull its plug.
type disk interface {
	makeDir(dir string) error
	list(dir string) ([]string, error)
	read(path string) ([]byte, error)
	// write makes a file and returns when its content would survive a power
	// failure.
	write(path string, data []byte) error
	rename(from, to string) error
	remove(path string) error
	// syncDir returns when the names in a directory would survive.
	syncDir(dir string) error
}

// osDisk is the operating system's.
type osDisk struct{}

func (osDisk) makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osDisk) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// read is bounded: a file that grew by damage must not fill the memory.
func (osDisk) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const limit = MaxText + 4096
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return data, err
}

func (osDisk) write(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
