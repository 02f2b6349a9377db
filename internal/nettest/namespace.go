package nettest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace of our own. Its methods may be used from
// several goroutines at once.
type Namespace struct {
	name  string
	named bool
	id    nsID
	// borrowed is one that others made, and end.
	borrowed bool

	// mu guards what Close takes away. It is held while a thread enters, so
	// that the descriptor cannot become another file's under it, but not while
	// the thread is inside: Do may last, and may call Close.
	mu      sync.Mutex
	file    *os.File
	nl      *netlink.Handle
	closers []func() error
	closed  bool
}

// nsID is what tells one namespace from another: the inode of its nsfs file.
type nsID struct{ dev, ino uint64 }

// nsIDOf follows a link in /proc or a bind mount to the namespace itself.
func nsIDOf(path string) (nsID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nsID{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return nsID{dev: st.Dev, ino: st.Ino}, nil
}

// New makes a network namespace with lo up, reverse path filters and duplicate
// address detection off, whatever the host's own defaults are.
//
// With a name it can be entered by others under /run/netns/NAME ("ip netns exec
// NAME ...") until Close, or [Remove] by a later process. Without one it is held
// by this process and what runs inside alone, and so dies with them.
func New(name string) (*Namespace, error) {
	n := &Namespace{name: name}
	unshare := func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %v; root is needed", err)
		}
		return nil
	}
	if err := onThread(unshare, n.adopt); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// adopt fills n from the namespace that the calling thread is in.
func (n *Namespace) adopt() error {
	if err := n.hold(); err != nil {
		return err
	}
	if n.name == "" {
		n.name = fmt.Sprintf("net-%d", n.id.ino)
	} else {
		if err := register(n.name, ownNamespace); err != nil {
			return err
		}
		n.named = true
	}
	if err := calm(); err != nil {
		return fmt.Errorf("prepare namespace %q: %v", n.name, err)
	}
	return n.Up("lo")
}

const ownNamespace = "/proc/thread-self/ns/net"

// hold opens the namespace that the calling thread is in.
func (n *Namespace) hold() (err error) {
	if n.file, err = os.Open(ownNamespace); err != nil {
		return fmt.Errorf("open the namespace: %v", err)
	}
	if n.id, err = nsIDOf(ownNamespace); err != nil {
		return fmt.Errorf("identify the namespace: %v", err)
	}
	if n.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink in the namespace: %v", err)
	}
	return nil
}

// Here returns the namespace that the calling process was started in, for a
// program that [Namespace.Command] runs. Close lets go of it and ends nobody.
func Here() (*Namespace, error) {
	n := &Namespace{borrowed: true}
	if err := onThread(func() error { return nil }, n.hold); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.name = fmt.Sprintf("net-%d", n.id.ino)
	return n, nil
}

// Name returns the namespace's name; one without a name has an invented one, for
// messages.
func (n *Namespace) Name() string { return n.name }

// Path returns the file under /run/netns that names the namespace, or "" if it
// has no name.
func (n *Namespace) Path() string {
	if !n.named {
		return ""
	}
	return registered(n.name)
}

// Netlink returns a route netlink handle that speaks to this namespace from any
// thread, for what the methods here do not cover. Close closes it.
func (n *Namespace) Netlink() *netlink.Handle { return n.nl }

// Do runs fn on a thread inside the namespace and returns its error. Sockets
// that fn opens stay in the namespace wherever they are used later; goroutines
// that fn starts do not, they run outside. The thread is in the namespace with
// its network alone: files, /sys and mounts are the host's.
//
// fn may end its goroutine (t.FailNow does); then Do ends the caller's.
func (n *Namespace) Do(fn func() error) error {
	return onThread(n.enter, fn)
}

// enter moves the calling thread into the namespace.
func (n *Namespace) enter() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fmt.Errorf("enter namespace %q: it is closed", n.name)
	}
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %q: %v", n.name, err)
	}
	return nil
}

// onClose has fn called by Close, before those that were given earlier.
func (n *Namespace) onClose(fn func() error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closers = append(n.closers, fn)
}

// Close ends every process inside (SIGTERM first, then SIGKILL), takes the name
// away and lets the namespace go; the kernel removes its links. Whatever one
// step meets, the others are still done. A second Close does nothing.
//
// Only a socket that the caller still holds keeps the kernel's part alive.
func (n *Namespace) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	closers := n.closers
	n.mu.Unlock()

	var errs []error
	if n.file != nil && !n.borrowed {
		errs = append(errs, endProcesses(n.id))
	}
	for _, fn := range slices.Backward(closers) {
		errs = append(errs, fn())
	}
	if n.nl != nil {
		n.nl.Close()
	}
	if n.named {
		errs = append(errs, unregister(n.name))
	}
	if n.file != nil {
		errs = append(errs, n.file.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close namespace %q: %v", n.name, err)
	}
	return nil
}
