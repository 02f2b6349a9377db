package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// dispatchLink is the pin of the socket-lookup link. No interface is called so:
// the kernel takes a percent sign as the place of a number.
const dispatchLink = "%dispatch"

// attachDispatch attaches the socket-lookup program to this network namespace,
// or replaces it there.
func (d *Dataplane) attachDispatch() error {
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("open network namespace: %v", err)
	}
	defer ns.Close()
	path := d.pins.dispatch()
	replaced, err := d.replaceDispatch(path, ns)
	if err != nil || replaced {
		return err
	}
	l, err := link.AttachNetNs(int(ns.Fd()), d.objs.Dispatch)
	if err != nil {
		return fmt.Errorf("attach socket lookup: %v", err)
	}
	defer l.Close()
	if err := l.Pin(path); err != nil {
		return fmt.Errorf("pin socket-lookup link: %v", err)
	}
	return nil
}

// replaceDispatch swaps the program of the pinned link. The pin of a namespace
// that is gone is dropped.
func (d *Dataplane) replaceDispatch(path string, ns *os.File) (bool, error) {
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open pinned socket-lookup link: %v", err)
	}
	defer l.Close()
	same, err := inNamespace(l, ns)
	if err != nil {
		return false, err
	}
	if !same {
		if err := removeLink(path); err != nil {
			return false, fmt.Errorf("drop stale socket-lookup link: %v", err)
		}
		return false, nil
	}
	if err := l.Update(d.objs.Dispatch); err != nil {
		return false, fmt.Errorf("replace socket lookup: %v", err)
	}
	return true, nil
}

func inNamespace(l link.Link, ns *os.File) (bool, error) {
	info, err := l.Info()
	if err != nil {
		return false, fmt.Errorf("read pinned socket-lookup link: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		return false, fmt.Errorf("look at network namespace: %v", err)
	}
	n := info.NetNs()
	return n != nil && uint64(n.NetnsInode) == st.Ino, nil
}

// SetListener makes f's listening TCP socket the one that accepts connections
// to the service (mode sshd). The socket may be bound anywhere; one that is not
// listening is refused, and an MPTCP one. It stays in place until it is closed
// by every process or replaced.
func (d *Dataplane) SetListener(id ServiceID, f *os.File) error {
	// Not f.Fd(): it would make the socket blocking for whoever shares it.
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("set listener of service %d: %v", id, err)
	}
	var put error
	if err := raw.Control(func(fd uintptr) { put = d.putListener(id, int(fd)) }); err != nil {
		return fmt.Errorf("set listener of service %d: %v", id, err)
	}
	if put != nil {
		return fmt.Errorf("set listener of service %d: %v; it must be a listening TCP socket, not MPTCP", id, put)
	}
	return nil
}

func (d *Dataplane) putListener(id ServiceID, fd int) error {
	// The map takes a connected socket too, which nothing could be handed to.
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return err
	}
	if listening == 0 {
		return errors.New("the socket does not listen")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	place, ok := d.listeners[id]
	if !ok { // it finds the socket when it gets its record, unless another service stands there
		place = d.freePlace(id)
	}
	return d.objs.Listeners.Put(place, uint64(fd))
}

// listener is the place of a service's listening socket: that of another one
// with the same VIP and port, which it may take over from, else a free one.
func (d *Dataplane) listener(id ServiceID, listen netip.AddrPort) uint32 {
	for other, place := range d.listeners {
		if d.services[other].Listen == listen {
			return place
		}
	}
	return d.freePlace(id)
}

func (d *Dataplane) freePlace(id ServiceID) uint32 {
	used := make(map[uint32]bool, len(d.listeners))
	for _, place := range d.listeners {
		used[place] = true
	}
	for place := uint32(id); ; place = (place + 1) % MaxServices {
		if !used[place] {
			return place
		}
	}
}

// dropListener lets go of a service's listening socket, unless another service
// has it by now.
func (d *Dataplane) dropListener(id ServiceID) error {
	place, ok := d.listeners[id]
	for other, p := range d.listeners {
		if other != id && p == place {
			return nil
		}
	}
	if !ok {
		return nil
	}
	if err := d.objs.Listeners.Delete(place); err != nil && !isAbsent(err) {
		return fmt.Errorf("delete listener of service %d: %v", id, err)
	}
	return nil
}

// HasListener says whether connections to the service are accepted by a socket.
func (d *Dataplane) HasListener(id ServiceID) (bool, error) {
	d.mu.Lock()
	place, ok := d.listeners[id]
	d.mu.Unlock()
	if !ok {
		return false, nil
	}
	var cookie uint64
	err := d.objs.Listeners.Lookup(place, &cookie)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up listener of service %d: %v", id, err)
	}
	return true, nil
}
