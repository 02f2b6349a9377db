package clusterkey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.secret == [Size]byte{} {
		t.Error("the key is all zeros")
	}
	again, err := LoadOrCreate(dir)
	if err != nil || again != first {
		t.Errorf("the second start has another key, %v", err)
	}
	other, err := LoadOrCreate(t.TempDir())
	if err != nil || other == first {
		t.Errorf("two clusters have one key, %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 || info.Size() != Size {
		t.Errorf("mode %v, %d bytes", info.Mode(), info.Size())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// Two starts at once end with one key.
func TestKeyRace(t *testing.T) {
	dir := t.TempDir()
	keys := make([]Key, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadOrCreate(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("two starts saw two keys")
		}
	}
}

func TestKeyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		mode fs.FileMode
		want string
	}{
		"short":          {strings.Repeat("k", Size-1), 0o600, "31 bytes instead of 32"},
		"long":           {strings.Repeat("k", Size) + "\n", 0o600, "33 bytes instead of 32"},
		"empty":          {"", 0o600, "0 bytes instead of 32"},
		"group readable": {strings.Repeat("k", Size), 0o640, "mode 0640"},
		"world readable": {strings.Repeat("k", Size), 0o604, "mode 0604"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, Name)
			if err := os.WriteFile(path, []byte(c.data), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreate(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("LoadOrCreate = %v, want %q and the path", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "kkk") {
				t.Errorf("the error shows the secret: %v", err)
			}
			if data, _ := os.ReadFile(path); string(data) != c.data {
				t.Error("the refused file was changed")
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, Name), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreate(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("LoadOrCreate = %v", err)
		}
	})
	t.Run("no data directory", func(t *testing.T) {
		if _, err := LoadOrCreate(filepath.Join(t.TempDir(), "gone")); err == nil {
			t.Error("a key came out of nowhere")
		}
	})
}

// The derived key is part of what gateways agree on: a change here sends every
// client of a mixed cluster elsewhere.
func TestRingIsFixed(t *testing.T) {
	var k Key
	copy(k.secret[:], strings.Repeat("k", Size))
	const want = "227c3e9f92405009d2fedfc1cdd33cb3"
	if got := fmt.Sprintf("%x", k.Ring()); got != want {
		t.Errorf("Ring() = %s, want %s", got, want)
	}
	if a, b := k.derive("ring", 16), k.derive("heartbeat", 16); bytes.Equal(a, b) {
		t.Error("two purposes share a key")
	}
}

func TestKeyIsNeverShown(t *testing.T) {
	var k Key
	copy(k.secret[:], strings.Repeat("k", Size))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "in", struct{ K Key }{k})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "in", struct{ K Key }{k})
	inJSON, err := json.Marshal(struct{ K Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(inJSON) + fmt.Sprintf("%v %+v %#v %s %q %x %d", k, k, k, k, k, k, k) + fmt.Sprintf("%+v %#v", struct{ K Key }{k}, &k)
	for _, secret := range []string{"kkk", "6b6b6b", "107, 107", "107 107", "0x6b"} {
		if strings.Contains(all, secret) {
			t.Errorf("the secret is shown as %q in %s", secret, all)
		}
	}
}
