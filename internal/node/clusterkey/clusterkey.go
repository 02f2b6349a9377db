// Package clusterkey keeps the secret that all gateways of a cluster share and
// derives from it what each part needs. The key itself leaves this package in
// one way only: as the file it is kept in.
package clusterkey

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Name is the key's file in the data directory.
const Name = "cluster.key"

// Size is the key's length in bytes.
const Size = 32

// Key is the cluster key. However it is printed, it shows nothing.
type Key struct {
	secret [Size]byte
}

const shown = "[cluster key]"

// Format prints a fixed text instead of the secret, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, shown) }

// LogValue returns a fixed text instead of the secret.
func (Key) LogValue() slog.Value { return slog.StringValue(shown) }

// Ring returns the key of the flow hash. Gateways with the same cluster key
// choose the same ring entry for a client.
func (k Key) Ring() [16]byte { return [16]byte(k.derive("ring", 16)) }

// derive makes the subkey for a purpose; purposes never share one, so that one
// part's leak is not another's.
func (k Key) derive(purpose string, size int) []byte {
	sub, err := hkdf.Key(sha256.New, k.secret[:], nil, "sluice "+purpose, size)
	if err != nil {
		panic("clusterkey: " + err.Error()) // sizes are constants far below the limit
	}
	return sub
}

// LoadOrCreate reads the key of a data directory; the first start makes one.
// A key that others can read, or that is not Size bytes long, is refused: a
// new one would silently send clients elsewhere.
func LoadOrCreate(dataDir string) (Key, error) {
	path := filepath.Join(dataDir, Name)
	k, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := create(dataDir, path); err != nil {
		return Key{}, fmt.Errorf("make cluster key %q: %v", path, err)
	}
	return load(path)
}

// Load reads the key of a data directory and says when the file was written. An
// error matches [fs.ErrNotExist] where there is none yet.
func Load(dataDir string) (Key, time.Time, error) {
	path := filepath.Join(dataDir, Name)
	k, err := load(path)
	if err != nil {
		return Key{}, time.Time{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, time.Time{}, fmt.Errorf("read cluster key: %v", err)
	}
	return k, info.ModTime(), nil
}

// Fingerprint is the same for the same key, and tells nothing else of it: for
// people who compare two gateways.
func (k Key) Fingerprint() string { return fmt.Sprintf("%x", k.derive("fingerprint", 6)) }

// load returns an error matching [fs.ErrNotExist] when there is no key yet.
func load(path string) (Key, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return Key{}, fmt.Errorf("read cluster key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("read cluster key: %v", err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return Key{}, fmt.Errorf("read cluster key %q: not a regular file: put the key of the cluster there", path)
	case mode.Perm()&0o077 != 0:
		return Key{}, fmt.Errorf("read cluster key %q: mode %04o lets others at it: chmod 600 it, and replace it on all gateways if others may have read it", path, mode.Perm())
	case info.Size() != Size:
		return Key{}, fmt.Errorf("read cluster key %q: %d bytes instead of %d: copy it again from another gateway, or remove it to have a new one made", path, info.Size(), Size)
	}
	var k Key
	if _, err := io.ReadFull(f, k.secret[:]); err != nil {
		return Key{}, fmt.Errorf("read cluster key: %v", err)
	}
	return k, nil
}

// create puts a new key in place whole and never over another: a link, unlike
// a rename, fails when the name is taken.
func create(dir, path string) (err error) {
	f, err := os.CreateTemp(dir, Name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}()
	secret := make([]byte, Size)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	if _, err := f.Write(secret); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Heartbeat returns the key by which gateways of a virtual cluster know each
// other's heartbeats, 32 bytes.
func (k Key) Heartbeat(cluster string) []byte { return k.derive("heartbeat "+cluster, 32) }

// FlowSync returns the key of the streams that carry flows between gateways, 32
// bytes.
func (k Key) FlowSync() []byte { return k.derive("flow sync", 32) }
