package announce

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Sender sends frames by any interface of one network namespace. Its methods may
// be called from several goroutines at once.
type Sender struct {
	mu sync.Mutex
	fd int
}

// Open returns a sender for the network namespace of the calling thread. It
// needs CAP_NET_RAW.
func Open() (*Sender, error) {
	// Protocol 0: the socket hears nothing, so nothing is queued on it.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %v; CAP_NET_RAW is needed", err)
	}
	return &Sender{fd: fd}, nil
}

// Send sends one frame, as [Frame] makes it, by the interface with the index. It
// never waits: a full queue is an error.
func (s *Sender) Send(index int, frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return fmt.Errorf("announce by interface %d: %v", index, os.ErrClosed)
	}
	to := &unix.SockaddrLinklayer{Ifindex: index, Halen: macLen}
	copy(to.Addr[:], frame)
	if err := unix.Sendto(s.fd, frame, 0, to); err != nil {
		return fmt.Errorf("announce by interface %d: %w", index, err)
	}
	return nil
}

// Close closes the socket. A second Close does nothing.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	err := unix.Close(s.fd)
	s.fd = -1
	if err != nil {
		return fmt.Errorf("close the packet socket: %v", err)
	}
	return nil
}
