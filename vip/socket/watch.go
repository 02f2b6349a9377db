package socket

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrReopen marks that the interface, or the address, is not the one that was
// opened: close, and open again.
var ErrReopen = errors.New("reopen it")

// Watch knows whether an interface and an address on it can be used. It follows
// the kernel's own messages, so what it knows is as old as their delivery.
type Watch struct {
	link   Link
	source netip.Addr
	// renew joins multicast groups again.
	renew func() error

	handle *netlink.Handle
	events *Socket
	done   chan struct{}

	mu    sync.Mutex
	state state
}

// state is what is known of the interface.
type state struct {
	// gone says why it is not the one that was opened, "" if it is.
	gone        string
	up, carrier bool
	mtu         int
	// present says that the source address can be used.
	present bool
	// unjoined says why multicast groups may be lost, nil if they are not.
	unjoined error
}

// NewWatch starts to watch an interface and, if valid, an address on it. renew is
// called, by the watch's goroutine, after the kernel may have forgotten multicast
// memberships, and again at later changes until it returns nil; it may be nil.
func NewWatch(link Link, source netip.Addr, renew func() error) (*Watch, error) {
	w := &Watch{link: link, source: source, renew: renew, done: make(chan struct{})}
	if err := w.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("watch interface %q: %w", link.Name, err), w.release())
	}
	go w.run()
	return w, nil
}

// open subscribes before it looks, so that nothing is missed in between.
func (w *Watch) open() error {
	groups := []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR}
	var err error
	if w.events, err = openNetlink(w.link, groups); err != nil {
		return err
	}
	if w.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	return w.look()
}

// Err returns nil when packets can be sent from the address on the interface.
// Otherwise it says what is wrong: [ErrReopen] when the interface is gone,
// renamed or made anew, or when the address is not on it (also EADDRNOTAVAIL;
// this passes if the address comes back) or its groups are lost, and ENETDOWN while the link is down or
// has no carrier.
func (w *Watch) Err() error {
	w.mu.Lock()
	s := w.state
	w.mu.Unlock()
	switch {
	case s.gone != "":
		return fmt.Errorf("interface %q (index %d) %s: %w", w.link.Name, w.link.Index, s.gone, ErrReopen)
	case !s.up:
		return fmt.Errorf("interface %q is down: %w: bring it up", w.link.Name, unix.ENETDOWN)
	case !s.carrier:
		return fmt.Errorf("interface %q has no carrier: %w: look at its cable and switch", w.link.Name, unix.ENETDOWN)
	case !s.present:
		return fmt.Errorf("address %s is not on interface %q: %w: put it back, or choose another and %w",
			w.source, w.link.Name, unix.EADDRNOTAVAIL, ErrReopen)
	case s.unjoined != nil:
		return fmt.Errorf("interface %q has lost its multicast group: %w: raise its MTU to 1280 or more and %w",
			w.link.Name, s.unjoined, ErrReopen)
	}
	return nil
}

// Close ends the watch and waits for it.
func (w *Watch) Close() error {
	err := w.events.Close()
	<-w.done
	w.handle.Close()
	return err
}

// release closes what open has opened before it failed.
func (w *Watch) release() error {
	if w.handle != nil {
		w.handle.Close()
	}
	if w.events != nil {
		return w.events.Close()
	}
	return nil
}

// run follows the kernel's messages until Close.
func (w *Watch) run() {
	defer close(w.done)
	buf := make([]byte, os.Getpagesize()*8)
	for {
		m, err := w.events.Receive(buf)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			// ENOBUFS above all: messages were lost, so all is looked at anew.
			w.empty(buf)
			if err := w.look(); err != nil {
				w.set(func(s *state) { s.gone = "cannot be watched: " + err.Error() })
			}
		default:
			w.hear(m.Payload)
		}
	}
}

// empty reads all that waits. Until then the kernel says of no further message that it
// was lost, and a look before would be too early.
func (w *Watch) empty(buf []byte) {
	for {
		_, err := w.events.TryReceive(buf)
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, ErrOdd) {
			return
		}
	}
}

// set changes the state, and joins groups again where they may be lost: IPv6 is
// taken from an interface whose MTU is too small for it, and the kernel does not
// join again when it comes back. It may come back only after the message about
// the MTU, so what fails is tried again at the next message.
func (w *Watch) set(change func(*state)) {
	w.mu.Lock()
	before := w.state.mtu
	change(&w.state)
	after := w.state
	w.mu.Unlock()
	changed := before != 0 && before != after.mtu
	if w.renew == nil || after.gone != "" || !changed && after.unjoined == nil {
		return
	}
	err := w.renew()
	w.mu.Lock()
	w.state.unjoined = err
	w.mu.Unlock()
}
