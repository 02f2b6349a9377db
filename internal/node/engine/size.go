package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sizeFile remembers how many flows the pinned maps were made for. Maps cannot
// grow, so a dataplane.max_flows that changed since waits until they are made
// anew; without a record a node that crashes meanwhile could not come back.
const sizeFile = "max_flows"

// size returns for how many flows the maps are, or are to be made.
func (o Options) size() (flows int, recorded bool, err error) {
	pinned, err := Pinned(o.Pins)
	if err != nil || !pinned {
		return o.MaxFlows, false, err
	}
	text, err := os.ReadFile(filepath.Join(o.DataDir, sizeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return o.MaxFlows, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the size of the pinned maps: %v", err)
	}
	flows, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || flows <= 0 {
		return o.MaxFlows, false, nil // damaged: the loader will say if it does not fit
	}
	return flows, true, nil
}

// recordSize is not synced: after a power failure the maps are gone, too.
func (o Options) recordSize(flows int) error {
	err := os.WriteFile(filepath.Join(o.DataDir, sizeFile), []byte(strconv.Itoa(flows)+"\n"), 0o600)
	if err != nil {
		return fmt.Errorf("record the size of the pinned maps: %v", err)
	}
	return nil
}

// Pinned says whether anything is pinned below dir. Pins are in folders; files
// are the kernel's, at the top of each bpffs.
func Pinned(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at pins: %v", err)
	}
	return slices.ContainsFunc(entries, fs.DirEntry.IsDir), nil
}
