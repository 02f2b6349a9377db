package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// nodeLock is the lock of a node process, in its data directory, and vipLock
// that of a vip process, in its own.
const (
	nodeLock = "node.lock"
	vipLock  = "vip.lock"
)

// LockNode makes the calling process the node of a data directory for as long
// as the returned file stays open.
func LockNode(dataDir string) (*os.File, error) {
	f, err := lock(filepath.Join(dataDir, nodeLock))
	if held, ok := errors.AsType[*lockedError](err); ok {
		return nil, fmt.Errorf("use %q: the node process %d does; one data directory serves one node", dataDir, held.pid)
	}
	return f, err
}

// LockVIP makes the calling process the vip process of a state directory, which
// it makes where it is missing, for as long as the returned file stays open. The
// process makes it itself: below a directory of the node's user, root would be
// led elsewhere by a planted link.
func LockVIP(state string) (*os.File, error) {
	if err := os.Mkdir(state, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make the directory of the vip process: %v", err)
	}
	f, err := lock(filepath.Join(state, vipLock))
	if held, ok := errors.AsType[*lockedError](err); ok {
		return nil, fmt.Errorf("use %q: the vip process %d does; one directory serves one vip process", state, held.pid)
	}
	return f, err
}
