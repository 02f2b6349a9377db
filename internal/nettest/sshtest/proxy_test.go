package sshtest

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// A server behind a proxy serves who comes with a header, and nobody else.
func TestServerBehindProxy(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, true)
	s, err := Start(t.Context(), n, ServerOptions{
		Addrs: []netip.AddrPort{local4}, Dir: t.TempDir(), Authorized: []ssh.PublicKey{c.PublicKey()}, Proxy: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if !s.BuiltIn() {
		t.Error("it is OpenSSH, which reads no header")
	}
	for _, header := range []bool{true, false} {
		conn, err := n.Dial(within(t), local4)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		from := &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 4711}
		if header {
			_, err = proxyproto.HeaderProxyFromAddrs(2, from, net.TCPAddrFromAddrPort(local4)).WriteTo(conn)
		} else {
			_, err = conn.Write([]byte("SSH-2.0-without_header\r\n"))
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadBanner(conn, 10*time.Second)
		if (err == nil) != header {
			t.Errorf("with header %v it says %q (%v)", header, got, err)
		}
	}
}
