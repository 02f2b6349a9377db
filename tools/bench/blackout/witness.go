package blackout

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// Witness listens at the gateways' ports of a switch and notes which of them
// answers for the VIP. It sends nothing, and sees also what a fault at the port
// then loses.
type Witness struct {
	vip   netip.Addr
	files []*os.File
	tasks sync.WaitGroup

	mu    sync.Mutex
	seen  []sight
	wrong error
}

// sight is one answer: to an echo request with a number, or to an ARP request.
type sight struct {
	gateway int // its place among the ports
	at      time.Time
	arp     bool
	number  uint32
}

// Listen starts a witness at ports of a switch, for an IPv4 address.
func Listen(n *nettest.Namespace, vip netip.Addr, ports ...string) (*Witness, error) {
	w := &Witness{vip: vip}
	for i, port := range ports {
		f, err := tap(n, port)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen at port %q: %v", port, err), w.Close())
		}
		w.files = append(w.files, f)
		w.tasks.Go(func() { w.watch(i, f) })
	}
	return w, nil
}

// tap is a socket that hears what comes in by a link.
func tap(n *nettest.Namespace, link string) (*os.File, error) {
	index, err := n.Index(link)
	if err != nil {
		return nil, err
	}
	fd := -1
	err = n.Do(func() (err error) {
		// Without a protocol it hears nothing until it is bound.
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), link)
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: index}),
	)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }

// watch ends with the socket, or when the link is taken down: then it begins
// anew, for a cable may come back.
func (w *Witness) watch(gateway int, f *os.File) {
	frame := make([]byte, 2048)
	for {
		n, err := f.Read(frame)
		now := time.Now()
		switch {
		case errors.Is(err, unix.ENETDOWN):
			continue
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			w.mu.Lock()
			w.wrong = errors.Join(w.wrong, err)
			w.mu.Unlock()
			return
		}
		s, ok := look(frame[:n], w.vip)
		if !ok {
			continue
		}
		s.gateway, s.at = gateway, now
		w.mu.Lock()
		w.seen = append(w.seen, s)
		w.mu.Unlock()
	}
}

// Echoes returns which gateways have answered an echo request since, in order.
func (w *Witness) Echoes(since time.Time) []int { return w.who(since, false) }

// Owners returns which gateways have answered an ARP request for the VIP since,
// in order; see [Ask].
func (w *Witness) Owners(since time.Time) []int { return w.who(since, true) }

func (w *Witness) who(since time.Time, arp bool) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []int
	for _, s := range w.seen {
		if s.arp == arp && s.at.After(since) && !slices.Contains(found, s.gateway) {
			found = append(found, s.gateway)
		}
	}
	slices.Sort(found)
	return found
}

// Twice returns how many echo requests were answered by more than one gateway.
func (w *Witness) Twice() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	first, twice := make(map[uint32]int), make(map[uint32]bool)
	for _, s := range w.seen {
		if s.arp {
			continue
		}
		if g, known := first[s.number]; known && g != s.gateway {
			twice[s.number] = true
		}
		first[s.number] = s.gateway
	}
	return len(twice)
}

// Close ends it. The error is also that of a witness that could not go on.
func (w *Witness) Close() error {
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	w.tasks.Wait()
	return errors.Join(append(errs, w.wrong)...)
}
