package loader_test

import (
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
	options  []byte
	payload  []byte
	corrupt  bool // the checksum is wrong
}

// injectAtClient puts it on the link of the client's host.
func (w *proxyWorld) injectAtClient(t *testing.T, f forgery) {
	t.Helper()
	inject(t, w.Client, w.GW, nettest.OutsideLink, f)
}

// injectAtBackend puts it on the link of the backend's host.
func (w *proxyWorld) injectAtBackend(t *testing.T, f forgery) {
	t.Helper()
	inject(t, w.backend().Namespace, w.GW, nettest.InsideLink, f)
}

func inject(t *testing.T, from, to *nettest.Namespace, link string, f forgery) {
	t.Helper()
	source, err := from.MAC(nettest.HostLink)
	must(t, err)
	destination, err := to.MAC(link)
	must(t, err)
	index, err := from.Index(nettest.HostLink)
	must(t, err)
	if f.flags == 0 {
		f.flags = frame.ACK
	}
	b, err := frame.Frame{
		SrcMAC: source, DstMAC: destination, Src: f.from, Dst: f.to, Flags: f.flags, Seq: f.seq, Ack: f.ack,
		Window: 1000, Options: f.options, Payload: f.payload, Lies: frame.Lies{Checksum: f.corrupt},
	}.Bytes()
	must(t, err)
	must(t, from.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: index})
	}))
}

// backendAddr is where the only backend listens.
func backendAddr(w *proxyWorld) netip.AddrPort {
	return netip.AddrPortFrom(w.backend().Addr.Like(w.listen.Addr()), testPort)
}
