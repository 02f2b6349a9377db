package nettest

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestListenerOf(t *testing.T) {
	Require(t, Root)
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(l.Addr().String())
		f, err := ListenerOf(os.Getpid(), at)
		if err != nil {
			t.Fatal(err)
		}
		// A copy: the other end may close its own.
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Errorf("nobody listens at %s: %v", at, err)
		} else {
			c.Close()
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = ListenerOf(os.Getpid(), at)
		wantError(t, err, "does not listen at", at.String())
	}
}
