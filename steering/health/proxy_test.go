package health

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"sluice/internal/nettest"
)

// byProxy is a target whose server is to read a header.
func byProxy(at netip.AddrPort) Target {
	t := direct(at, Settings{Timeout: 2 * time.Second})
	t.Proxy = true
	return t
}

// TestProbeByProxyFaults: a name alone does not show that the header was read.
func TestProbeByProxyFaults(t *testing.T) {
	kexInit := "\x00\x00\x00\x0c\x04\x14" + strings.Repeat("x", 10)
	for name, c := range map[string]struct {
		says string
		want string // of the error, "" passes
	}{
		"goes on":              {"SSH-2.0-x\r\n" + kexInit, ""},
		"complains":            {"SSH-2.0-x\r\nInvalid SSH identification string.\r\n", `does not accept PROXY v2: answered the header by "Invalid SSH identification string."`},
		"breaks off":           {"SSH-2.0-x\r\n", "does not accept PROXY v2: broke off at the header"},
		"says nothing":         {"", "does not accept PROXY v2: closed the connection without an SSH identification"},
		"is none of SSH":       {"HTTP/1.0 400 Bad Request\r\n\r\n", "does not accept PROXY v2: closed the connection"},
		"another packet":       {"SSH-2.0-x\r\n\x00\x00\x00\x0c\x04\x01" + strings.Repeat("x", 10), "does not accept PROXY v2: answered"},
		"a packet without end": {"SSH-2.0-x\r\n\x7f\x00\x00\x0c\x04\x14" + strings.Repeat("x", 10), "does not accept PROXY v2: answered"},
	} {
		t.Run(name, func(t *testing.T) {
			out := Probe(t.Context(), byProxy(serve(t, func(conn *net.TCPConn) {
				send(c.says)(conn)
				_ = conn.CloseWrite()
				linger("")(conn)
			})))
			if c.want == "" && out.Err == nil {
				return
			}
			if out.Err == nil || !strings.HasPrefix(out.Err.Error(), c.want) || c.want == "" {
				t.Errorf("%v, want %s", out.Err, c.want)
			}
		})
	}
	out := Probe(t.Context(), byProxy(serve(t, linger("SSH-2.0-x\r\n"))))
	if !out.Hung || errors.Is(out.Err, ErrNoProxy) {
		t.Errorf("a server that is slow: %v, hung %t", out.Err, out.Hung)
	}
}

// TestProbeByProxyHeader: a parser others wrote reads the header as LOCAL.
func TestProbeByProxyHeader(t *testing.T) {
	read := make(chan *proxyproto.Header, 1)
	Probe(t.Context(), byProxy(serve(t, func(conn *net.TCPConn) {
		send("SSH-2.0-x\r\n")(conn)
		h, err := proxyproto.Read(bufio.NewReader(conn))
		if err != nil {
			t.Error(err)
		}
		read <- h
	})))
	if h := <-read; h == nil || h.Version != 2 || h.Command != proxyproto.LOCAL {
		t.Errorf("the server read %+v", h)
	}
}

// TestProbeByProxyOpenSSH: OpenSSH by itself does not read headers, and names
// itself before it finds that out. Behind a receiver it passes.
func TestProbeByProxyOpenSSH(t *testing.T) {
	for _, s := range []openSSH{systemOpenSSH(t), penalisingOpenSSH(t)} {
		t.Run(s.version, func(t *testing.T) {
			d := s.start(t)
			out := Probe(t.Context(), byProxy(d.at))
			if !errors.Is(out.Err, ErrNoProxy) {
				t.Errorf("without a receiver: %v", out.Err)
			}
			if !strings.Contains(out.Identification, s.version) {
				t.Errorf("it named itself %q; its account could not be kept", out.Identification)
			}
			n := nettest.ForTest(t)
			if err := n.Do(func() error {
				inside := s.start(t)
				at := netip.AddrPortFrom(inside.at.Addr(), 2022)
				nettest.ReceiveForTest(t, n, "haproxy", t.TempDir(), []netip.AddrPort{at}, inside.at)
				if out := Probe(t.Context(), byProxy(at)); out.Err != nil || !strings.Contains(out.Identification, s.version) {
					t.Errorf("behind HAProxy: %v, %q", out.Err, out.Identification)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}
