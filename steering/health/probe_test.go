package health

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// serve runs a server on this machine that treats each connection as handle
// does, and returns where.
func serve(t *testing.T, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nettest.AcceptForTest(t, l, func(c net.Conn) {
		handle(c.(*net.TCPConn))
		c.Close()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func send(text string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { _, _ = io.WriteString(c, text) }
}

// linger sends and keeps the connection until the other side closes it.
func linger(text string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
	}
}

func direct(at netip.AddrPort, s Settings) Target {
	return Target{Name: at.String(), Backend: at, Dial: at, Settings: s}
}

func TestProbeFaults(t *testing.T) {
	const timeout = 300 * time.Millisecond
	tests := []struct {
		name   string
		handle func(*net.TCPConn)
		want   string // of the error; "" passes
		hung   bool
	}{
		{"banner", linger("SSH-2.0-x\r\n"), "", false},
		{"banner, then closes", send("SSH-2.0-x\r\n"), "", false},
		{"banner, then goes on for ever", func(c *net.TCPConn) {
			send("SSH-2.0-x\r\n")(c)
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "", false},
		{"a notice first", linger("Keep out.\r\nSSH-2.0-x\r\n"), "", false},
		{"silent", linger(""), "connected, but heard nothing within 300ms", true},
		{"closes", send(""), "closed the connection without an SSH identification", false},
		{"closes in the middle", send("SSH-2.0-Ope"), `in the middle of a line, but "SSH-2.0-Ope"`, false},
		{"resets", func(c *net.TCPConn) { _ = c.SetLinger(0) }, "reset the connection", false},
		{"drips", func(c *net.TCPConn) {
			for _, b := range []byte("SSH-2.0-slow\r\n") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(timeout / 5) // the fault itself
			}
		}, "no SSH identification within 300ms, but \"SSH", true},
		{"another protocol", linger("220 mail ESMTP\r\n"), `no SSH identification within 300ms, but "220 mail ESMTP"`, true},
		{"garbage", send("\x00\xff\x16\x03\x01\x02\n\n\n"), "closed the connection", false},
		{"a megabyte", send(strings.Repeat("A", 1<<20)), "no SSH identification in its first", false},
		{"a megabyte of banner", send("SSH-2.0-" + strings.Repeat("A", 1<<20)), "no SSH identification in its first", false},
		{"under penalty", send("Not allowed at this time\r\n"), "PerSourcePenaltyExemptList", false},
		{"full", send("Exceeded MaxStartups\r\n"), "raise MaxStartups", false},
		{"old", linger("SSH-1.5-1.2.27\n"), "another SSH", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := direct(serve(t, test.handle), Settings{Type: SSH, Timeout: timeout})
			start := time.Now()
			out := Probe(t.Context(), target)
			if took := time.Since(start); took > 4*timeout {
				t.Errorf("the check took %v", took)
			}
			if out.Hung != test.hung {
				t.Errorf("hung = %v, want %v", out.Hung, test.hung)
			}
			switch {
			case test.want == "" && (out.Err != nil || out.Identification != "SSH-2.0-x"):
				t.Errorf("outcome = %+v, want a pass with the identification", out)
			case test.want == "":
			case out.Err == nil || !strings.Contains(out.Err.Error(), test.want):
				t.Errorf("error = %v, want one with %q", out.Err, test.want)
			}
			if test.name == "resets" {
				return // the reset may come before connect has returned
			}
			if out.RTT <= 0 || out.Took < out.RTT || out.Source.String() != "127.0.0.1" {
				t.Errorf("RTT %v, took %v, source %v", out.RTT, out.Took, out.Source)
			}
		})
	}
}

func TestProbeTCP(t *testing.T) {
	settings := Settings{Type: TCP, Timeout: 300 * time.Millisecond}
	for name, handle := range map[string]func(*net.TCPConn){
		"silent": linger(""), "closes": send(""), "talks": send("hello, this is something else\n"),
	} {
		if out := Probe(t.Context(), direct(serve(t, handle), settings)); out.Err != nil || out.Identification != "" {
			t.Errorf("%s: outcome = %+v, want a pass", name, out)
		}
	}
	out := Probe(t.Context(), direct(serve(t, linger("SSH-2.0-OpenSSH_10.0\r\nmore")), settings))
	if out.Err != nil || out.Identification != "SSH-2.0-OpenSSH_10.0" {
		t.Errorf("outcome = %+v, want a pass that knows the server it met", out)
	}
	if out := Probe(t.Context(), Target{Settings: Settings{Type: Off}}); out.Err != nil {
		t.Errorf("no check failed: %v", out.Err)
	}
}

// Connections that are not answered at all.
func TestProbeUnreachable(t *testing.T) {
	ns := nettest.ForTest(t)
	far := nettest.ForTest(t)
	must(t, nettest.Veth(ns, "eth0", far, "eth0"))
	must(t, ns.AddAddr("eth0", netip.MustParsePrefix("10.0.0.1/24")))
	must(t, far.AddAddr("eth0", netip.MustParsePrefix("10.0.0.2/24")))
	// What reaches far at this address is dropped there.
	must(t, ns.SetRoute(netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.0.0.2")))
	settled(t, ns, far)
	for addr, want := range map[string]string{
		"10.9.0.1:22":  "no answer to connecting within 200ms",
		"10.0.0.2:22":  "connection refused",
		"172.16.0.1:1": "network unreachable; no route leads there",
	} {
		var out Outcome
		at := netip.MustParseAddrPort(addr)
		must(t, ns.Do(func() error {
			out = Probe(t.Context(), direct(at, Settings{Timeout: 200 * time.Millisecond}))
			return nil
		}))
		if out.Err == nil || out.Err.Error() != want || out.RTT != 0 || out.Source.IsValid() {
			t.Errorf("%s: outcome = %+v, want %q", addr, out, want)
		}
		if hung := strings.HasPrefix(want, "no answer"); out.Hung != hung {
			t.Errorf("%s: hung = %v, want %v", addr, out.Hung, hung)
		}
	}
}

func TestProbeEndsWithContext(t *testing.T) {
	at := serve(t, linger(""))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	Probe(ctx, direct(at, Settings{Timeout: time.Minute}))
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the check went on for %v after its context had ended", took)
	}
}

// The server must read our last words before it learns of the close; a reset
// would destroy them.
func TestGoodbyeArrives(t *testing.T) {
	heard := make(chan []byte, 1)
	at := serve(t, func(c *net.TCPConn) {
		// Like sshd: its offer of algorithms is in flight when we leave.
		_, _ = c.Write(append([]byte("SSH-2.0-x\r\n"), make([]byte, 1200)...))
		time.Sleep(30 * time.Millisecond) // it is busy for a moment
		r := bufio.NewReader(c)
		line, err := r.ReadBytes('\n')
		if err != nil {
			heard <- nil
			return
		}
		header := make([]byte, 5)
		if _, err := io.ReadFull(r, header); err != nil {
			heard <- line
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(header)-1)
		_, _ = io.ReadFull(r, rest)
		heard <- append(append(line, header...), rest...)
	})
	if out := Probe(t.Context(), direct(at, Settings{})); out.Err != nil {
		t.Fatal(out.Err)
	}
	got := <-heard
	line, packet, _ := strings.Cut(string(got), "\r\n")
	if !strings.HasPrefix(line, "SSH-2.0-") {
		t.Fatalf("the server heard %q", got)
	}
	checkDisconnect(t, []byte(packet))
}

// checkDisconnect reads the packet by RFC 4253 §6 and §11.1.
func checkDisconnect(t *testing.T, packet []byte) {
	t.Helper()
	if len(packet) < 16 || len(packet)%8 != 0 {
		t.Fatalf("packet of %d bytes; it must be a multiple of 8 and at least 16", len(packet))
	}
	length, padding := int(binary.BigEndian.Uint32(packet)), int(packet[4])
	if length != len(packet)-4 || padding < 4 || padding >= length {
		t.Fatalf("packet of %d bytes: length %d, padding %d", len(packet), length, padding)
	}
	payload := packet[5 : len(packet)-padding]
	if payload[0] != 1 || binary.BigEndian.Uint32(payload[1:]) != 11 {
		t.Errorf("message %d with reason %d, want a disconnect by the application", payload[0], payload[1:5])
	}
	n := int(binary.BigEndian.Uint32(payload[5:]))
	if len(payload) != 5+4+n+4 {
		t.Errorf("payload of %d bytes with a description of %d", len(payload), n)
	}
}

func TestDisconnectIsWholeBlocks(t *testing.T) {
	for n := range 40 {
		checkDisconnect(t, disconnect(strings.Repeat("x", n)))
	}
}

func TestCauseOfUnknownErrors(t *testing.T) {
	plain := errors.New("plain")
	for _, err := range []error{plain, &net.OpError{Op: "dial", Net: "tcp", Err: plain}} {
		if got := explainDial(err, Target{}); got.Error() != "plain" {
			t.Errorf("explainDial(%v) = %v", err, got)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
