package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
)

// socketMode lets the socket's user and group connect; the peer check decides.
const socketMode = 0o660

// maxSocketPath is the room for a path in sockaddr_un, less its final zero.
const maxSocketPath = 107

// Listener is the control socket of a node.
type Listener struct {
	*net.UnixListener
	path  string
	inode fs.FileInfo
}

// Listen makes the control socket at path, mode 0660. A socket that stands
// there already, of a dead node or of one that is being replaced, is replaced
// in one step, so that at any moment path leads to somebody or to nobody but
// never to a socket with other permissions. Anything else at path is an error,
// as is a path of more than 107 bytes.
func Listen(path string) (*Listener, error) {
	if path == "" || len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen on control socket %q: not a path of 1 to %d bytes; set node.control.socket to one", path, maxSocketPath)
	}
	if err := checkReplaceable(path); err != nil {
		return nil, fmt.Errorf("listen on control socket %q: %v; move it away or set node.control.socket", path, err)
	}
	temporary := temporaryName(path)
	if err := checkReplaceable(temporary); err != nil {
		return nil, fmt.Errorf("listen on control socket %q: make it as %q: %v; move it away", path, temporary, err)
	}
	_ = os.Remove(temporary) // of a node that died here; if it stays, bind says so
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on control socket %q: %v", path, err)
	}
	l.SetUnlinkOnClose(false) // it would unlink the temporary name, by then perhaps a successor's
	inode, err := publish(temporary, path)
	if err != nil {
		_ = l.Close()
		_ = os.Remove(temporary)
		return nil, fmt.Errorf("listen on control socket %q: %v", path, err)
	}
	return &Listener{UnixListener: l, path: path, inode: inode}, nil
}

// temporaryName is no longer than path, which may have the full length.
func temporaryName(path string) string {
	last := "~"
	if strings.HasSuffix(path, last) {
		last = "-"
	}
	return path[:len(path)-1] + last
}

// checkReplaceable keeps a slip in the settings from costing a file.
func checkReplaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("a %s stands there", kindOf(info))
	}
	return nil
}

func kindOf(info fs.FileInfo) string {
	switch {
	case info.IsDir():
		return "directory"
	case info.Mode().Type() == fs.ModeSymlink:
		return "symbolic link"
	}
	return "file"
}

// publish gives the socket its permissions and then its name.
func publish(temporary, path string) (fs.FileInfo, error) {
	if err := os.Chmod(temporary, socketMode); err != nil {
		return nil, err
	}
	inode, err := os.Lstat(temporary)
	if err != nil {
		return nil, err
	}
	return inode, os.Rename(temporary, path)
}

// Close stops listening and removes the socket, unless a successor has put its
// own there.
func (l *Listener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.inode) {
		_ = os.Remove(l.path)
	}
	err := l.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
