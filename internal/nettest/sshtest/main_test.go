package sshtest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

func TestMain(m *testing.M) {
	CrowdMain()
	goleak.VerifyTestMain(m)
}

var (
	local4 = netip.MustParseAddrPort("127.0.0.1:22")
	local6 = netip.MustParseAddrPort("[::1]:2022")
)

// within bounds what a test does with SSH.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// kinds are the servers and clients to test against each other.
var kinds = map[string]bool{"OpenSSH": false, "built in": true}

func newClient(t *testing.T, n *nettest.Namespace, builtIn bool) *Client {
	t.Helper()
	c, err := NewClient(n, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if builtIn {
		c.UseBuiltIn()
	} else {
		nettest.Require(t, nettest.Program("ssh"))
	}
	return c
}

// newServer starts one that c may use on every address of the namespace.
func newServer(t *testing.T, n *nettest.Namespace, c *Client, builtIn bool) *Server {
	t.Helper()
	if !builtIn {
		nettest.Require(t, nettest.Program("sshd"))
	}
	s, err := Start(within(t), n, ServerOptions{
		Name: "b1", Dir: t.TempDir(), BuiltIn: builtIn, Authorized: []ssh.PublicKey{c.PublicKey()},
		Addrs: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:22"), netip.MustParseAddrPort("[::]:2022")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, addr := range []netip.AddrPort{local4, local6} {
		if err := c.Trust(addr, s.HostKey()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// pairs runs fn for each kind of server with each kind of client.
func pairs(t *testing.T, fn func(t *testing.T, c *Client, s *Server)) {
	for server, builtInServer := range kinds {
		for client, builtInClient := range kinds {
			t.Run(fmt.Sprintf("%s client, %s server", client, server), func(t *testing.T) {
				n := nettest.ForTest(t)
				c := newClient(t, n, builtInClient)
				fn(t, c, newServer(t, n, c, builtInServer))
			})
		}
	}
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
