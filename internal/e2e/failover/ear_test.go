package failover

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/internal/nettest/frame"
)

// ear hears the ARP frames that reach an interface.
type ear struct {
	mu  sync.Mutex
	arp map[string][]net.HardwareAddr // of announcements, by the address
}

// anyProtocol is ETH_P_ALL in the order of the network: of a port of a bridge,
// nothing else is shown.
const anyProtocol = 0x0300

// listen opens an ear until the test ends. At a gateway's port of a switch it
// hears what that gateway sends.
func listen(t *testing.T, n *nettest.Namespace, link string) *ear {
	t.Helper()
	index, err := n.Index(link)
	must(t, err)
	var file *os.File
	must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, anyProtocol)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "packets")
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: anyProtocol, Ifindex: index})
	}))
	e := &ear{arp: map[string][]net.HardwareAddr{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.hear(file)
	}()
	t.Cleanup(func() {
		file.Close()
		<-done
	})
	return e
}

func (e *ear) hear(file *os.File) {
	b := make([]byte, 2048)
	for {
		n, err := file.Read(b)
		if err != nil {
			return // closed
		}
		if n < 42 || b[12] != 0x08 || b[13] != 0x06 {
			continue
		}
		sender, target := netip.AddrFrom4([4]byte(b[28:32])), netip.AddrFrom4([4]byte(b[38:42]))
		if sender != target {
			continue
		}
		e.mu.Lock()
		e.arp[sender.String()] = append(e.arp[sender.String()], net.HardwareAddr(append([]byte(nil), b[6:12]...)))
		e.mu.Unlock()
	}
}

// announced counts the announcements of an address since the ear was opened.
func (e *ear) announced(addr string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.arp[addr])
}

// from says whether an announcement of an address came from a MAC.
func (e *ear) from(addr, mac string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.arp[addr], func(m net.HardwareAddr) bool { return m.String() == mac })
}

// send puts a frame on the wire of an interface.
func send(n *nettest.Namespace, link string, b []byte) error {
	index, err := n.Index(link)
	if err != nil {
		return err
	}
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: index})
		return errors.Join(err, unix.Close(fd))
	})
}

// vrrpGroup is where adverts go, as an address and as a MAC.
var (
	vrrpGroup    = netip.MustParseAddr("224.0.0.18")
	vrrpGroupMAC = net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 18}
)

// vrrpFrame is a frame with an advert in it, or what says it is one.
func vrrpFrame(from net.HardwareAddr, source netip.Addr, ttl uint8, payload []byte) []byte {
	return frame.Must(frame.Frame{
		SrcMAC: from, DstMAC: vrrpGroupMAC, Src: netip.AddrPortFrom(source, 0), Dst: netip.AddrPortFrom(vrrpGroup, 0),
		TTL: &ttl, Protocol: 112, Payload: payload,
	})
}

// again does something until the test's part that needs it ends.
func again(t *testing.T, every time.Duration, do func() error) (stop func()) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	go func() {
		defer close(done)
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			if err := do(); err != nil {
				t.Errorf("%v", err)
				return
			}
			select {
			case <-quit:
				return
			case <-ticks.C:
			}
		}
	}()
	stop = func() {
		once.Do(func() { close(quit) })
		<-done
	}
	t.Cleanup(stop)
	return stop
}
