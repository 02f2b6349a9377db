package nettest

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func TestServerCounts(t *testing.T) {
	n := ForTest(t)
	const banner = "SSH-2.0-test\r\n"
	s := ServeForTest(t, n, loopback, ServerOptions{Banner: banner, Echo: true})
	const count = 40
	conns, err := OpenConns(t.Context(), n, s.Addr(), count)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	got, err := conns.Read(len(banner), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range got {
		if line != banner {
			t.Errorf("connection %d got the banner %q", i, line)
		}
	}
	payload := []byte("twelve bytes")
	if err := conns.Exchange(payload, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if s.Accepted() != count || s.AcceptedFrom(loopback.Addr()) != count || s.Open() != count {
		t.Errorf("accepted %d, from the client %d, open %d; want %d each", s.Accepted(), s.AcceptedFrom(loopback.Addr()), s.Open(), count)
	}
	if want := int64(count * len(payload)); s.BytesIn() != want {
		t.Errorf("%d bytes in, want %d", s.BytesIn(), want)
	}
	if want := int64(count * (len(payload) + len(banner))); s.BytesOut() != want {
		t.Errorf("%d bytes out, want %d", s.BytesOut(), want)
	}
	if err := conns[:10].Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "closed connections are no longer open", func() bool { return s.Open() == count-10 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s.Accepted() != count || s.Open() != 0 {
		t.Errorf("after Close accepted is %d, open %d", s.Accepted(), s.Open())
	}
	if err := conns[10:].Exchange(payload, time.Second); err == nil {
		t.Error("connections work after the server's Close")
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestServerWithoutEchoIsSilent(t *testing.T) {
	n := ForTest(t)
	s := ServeForTest(t, n, loopback, ServerOptions{})
	conns, err := OpenConns(t.Context(), n, s.Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	err = conns.Exchange([]byte("anybody?"), 50*time.Millisecond)
	wantError(t, err, "connection 1 of 1", conns[0].LocalAddr().String())
	eventually(t, "the payload was read", func() bool { return s.BytesIn() == 8 })
	if s.BytesOut() != 0 {
		t.Errorf("%d bytes out, want none", s.BytesOut())
	}
}

func TestServeRefusesAForeignAddress(t *testing.T) {
	n := ForTest(t)
	_, err := Serve(n, netip.MustParseAddrPort("192.0.2.1:22"), ServerOptions{})
	wantError(t, err, "192.0.2.1:22", n.Name())
}

func TestListenKeepsFamiliesApart(t *testing.T) {
	n := ForTest(t)
	s := ServeForTest(t, n, netip.MustParseAddrPort("[::]:22"), ServerOptions{})
	// Nobody has 0.0.0.0:22 yet.
	ServeForTest(t, n, netip.MustParseAddrPort("0.0.0.0:22"), ServerOptions{})
	conn, err := n.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:22"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s.Accepted() != 0 {
		t.Error("the IPv6 server took an IPv4 connection")
	}
}

func TestOpenConnsFailsAsAWhole(t *testing.T) {
	n := ForTest(t)
	s := ServeForTest(t, n, loopback, ServerOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := OpenConns(ctx, n, s.Addr(), 3)
	wantError(t, err, "of 3", n.Name())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = OpenConns(t.Context(), n, s.Addr(), 3)
	wantError(t, err, "refused")
	if !strings.Contains(err.Error(), s.Addr().String()) {
		t.Errorf("error %q does not name %s", err, s.Addr())
	}
}
