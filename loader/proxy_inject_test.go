package loader_test

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/internal/nettest/frame"
)

// forgery is a segment that somebody sends in another's name.
type forgery struct {
	from, to netip.AddrPort
	flags    frame.Flags // [ACK]
	seq, ack uint32
	corrupt  bool // the checksum is wrong
}

// injector is somebody on a link who sends in others' names.
type injector struct {
	fd                  int
	index               int
	source, destination net.HardwareAddr
}

// atClient is one on the link of the client's host, atBackend on that of the
// backend's.
func (w *proxyWorld) atClient(t *testing.T) *injector {
	t.Helper()
	return inject(t, w.Client, w.GW, nettest.OutsideLink)
}

func (w *proxyWorld) atBackend(t *testing.T) *injector {
	t.Helper()
	return inject(t, w.backend().Namespace, w.GW, nettest.InsideLink)
}

// inject opens a socket on the link of a host, for frames to a link of another.
func inject(t *testing.T, from, to *nettest.Namespace, link string) *injector {
	t.Helper()
	var i injector
	var err error
	i.source, err = from.MAC(nettest.HostLink)
	must(t, err)
	i.destination, err = to.MAC(link)
	must(t, err)
	i.index, err = from.Index(nettest.HostLink)
	must(t, err)
	must(t, from.Do(func() error {
		i.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	t.Cleanup(func() { must(t, unix.Close(i.fd)) })
	return &i
}

func (i *injector) send(t *testing.T, f forgery) {
	t.Helper()
	if f.flags == 0 {
		f.flags = frame.ACK
	}
	b, err := frame.Frame{
		SrcMAC: i.source, DstMAC: i.destination, Src: f.from, Dst: f.to, Flags: f.flags, Seq: f.seq, Ack: f.ack,
		Window: 1000, Lies: frame.Lies{Checksum: f.corrupt},
	}.Bytes()
	must(t, err)
	must(t, unix.Sendto(i.fd, b, 0, &unix.SockaddrLinklayer{Ifindex: i.index}))
}

// backendAddr is where the only backend listens.
func backendAddr(w *proxyWorld) netip.AddrPort {
	return netip.AddrPortFrom(w.backend().Addr.Like(w.listen.Addr()), testPort)
}
