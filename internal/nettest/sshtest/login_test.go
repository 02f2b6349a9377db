package sshtest

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

func TestLogin(t *testing.T) {
	pairs(t, func(t *testing.T, c *Client, _ *Server) {
		for _, addr := range []netip.AddrPort{local4, local6} {
			name, err := c.Backend(within(t), addr)
			if err != nil || name != "b1" {
				t.Errorf("backend at %s is %q (%v), want b1", addr, name, err)
			}
		}
		out, err := c.Run(within(t), local4, "echo before; echo complaint >&2; exit 3")
		if out != "before\n" {
			t.Errorf("output is %q", out)
		}
		wantError(t, err, "exit 3", local4.String())
		// Without input means that there is an end to read, not nothing.
		if out, err := c.Run(within(t), local4, "cat; echo end"); err != nil || out != "end\n" {
			t.Errorf("a command that reads its input got %q (%v)", out, err)
		}
		_, err = c.Run(within(t), local4, "kill -9 $$")
		wantError(t, err, "kill -9")
	})
}

func TestSessionCarriesBytes(t *testing.T) {
	pairs(t, func(t *testing.T, c *Client, _ *Server) {
		s, err := c.Start(within(t), local4, "cat")
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		sent := make(chan error, 1)
		go func() {
			_, err := s.Write(want)
			if err == nil {
				err = s.CloseWrite()
			}
			sent <- err
		}()
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d of %d bytes came back (%v)", len(got), len(want), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// A command that reads nothing, and one that leaves something running which
// holds its output, both end when they end.
func TestSessionEndsWithItsCommand(t *testing.T) {
	pairs(t, func(t *testing.T, c *Client, s *Server) {
		began := time.Now()
		session, err := c.Start(within(t), local4, "true")
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
		if s.BuiltIn() {
			// OpenSSH waits for what holds its pipes, by design.
			if out, err := c.Run(within(t), local4, "sleep 30 & echo started"); err != nil || out != "started\n" {
				t.Errorf("got %q (%v)", out, err)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestHostKeyIsChecked(t *testing.T) {
	other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for client, builtIn := range kinds {
		t.Run(client, func(t *testing.T) {
			n := nettest.ForTest(t)
			known := newClient(t, n, builtIn)
			server := newServer(t, n, known, true)
			stranger := newClient(t, n, builtIn)
			stranger.key = known.key
			if err := known.key.write(stranger.file("id_ed25519")); err != nil {
				t.Fatal(err)
			}
			if _, err := stranger.Backend(within(t), local4); err == nil {
				t.Error("logged in to a server whose key is not known")
			}
			if err := stranger.Trust(local4, other.Public()); err != nil {
				t.Fatal(err)
			}
			if _, err := stranger.Backend(within(t), local4); err == nil {
				t.Error("logged in to a server that shows another key than the known one")
			}
			// As behind a VIP: one of several known keys is enough.
			if err := stranger.Trust(local4, server.HostKey()); err != nil {
				t.Fatal(err)
			}
			if _, err := stranger.Backend(within(t), local4); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStrangersAreRefused(t *testing.T) {
	pairs(t, func(t *testing.T, c *Client, s *Server) {
		stranger := newClient(t, c.ns, c.program == "")
		if err := stranger.Trust(local4, s.HostKey()); err != nil {
			t.Fatal(err)
		}
		_, err := stranger.Backend(within(t), local4)
		wantError(t, err, local4.String())
	})
}

func TestLoginToNobody(t *testing.T) {
	for client, builtIn := range kinds {
		t.Run(client, func(t *testing.T) {
			c := newClient(t, nettest.ForTest(t), builtIn)
			_, err := c.Backend(within(t), local4)
			wantError(t, err, local4.String(), "refused")
		})
	}
}

// A server that accepts and says nothing must not hold a client for ever.
func TestLoginEndsWithItsContext(t *testing.T) {
	n := nettest.ForTest(t)
	silent := nettest.ServeForTest(t, n, local4, nettest.ServerOptions{})
	for client, builtIn := range kinds {
		t.Run(client, func(t *testing.T) {
			c := newClient(t, n, builtIn)
			ctx, cancel := contextUntil(t, func() bool { return silent.Open() > 0 })
			defer cancel()
			began := time.Now()
			if _, err := c.Backend(ctx, local4); err == nil {
				t.Error("logged in to a server that says nothing")
			}
			if took := time.Since(began); took > handshakeWithin/2 {
				t.Errorf("it ended after %v, not with its context", took)
			}
		})
	}
}

func TestSoftware(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, true)
	s := newServer(t, n, c, true)
	if !s.BuiltIn() || s.Software() != "Sluice_test_server" || c.Software() != "built-in client" {
		t.Errorf("built in are %q (%v) and %q", s.Software(), s.BuiltIn(), c.Software())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c = newClient(t, n, false)
	s = newServer(t, n, c, false)
	if s.BuiltIn() || !strings.HasPrefix(s.Software(), "OpenSSH_") || c.Software() != "OpenSSH" {
		t.Errorf("OpenSSH's are %q (%v) and %q", s.Software(), s.BuiltIn(), c.Software())
	}
}

func TestPublicKeyIsTheWrittenOne(t *testing.T) {
	c := newClient(t, nettest.ForTest(t), true)
	signer, err := ssh.ParsePrivateKey([]byte(readFile(t, c.file("id_ed25519"))))
	if err != nil || !bytes.Equal(signer.PublicKey().Marshal(), c.PublicKey().Marshal()) {
		t.Errorf("the file holds another key than PublicKey says (%v)", err)
	}
}

// A command that ends before the server has answered the request for it has
// succeeded all the same.
func TestShortCommandsAreAnswered(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, true)
	newServer(t, n, c, true)
	for range 30 {
		if out, err := c.Run(within(t), local4, "echo x"); err != nil || out != "x\n" {
			t.Fatalf("got %q (%v)", out, err)
		}
	}
}
