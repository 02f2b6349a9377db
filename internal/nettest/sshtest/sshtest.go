// Package sshtest runs SSH servers and clients inside network namespaces of
// package nettest: OpenSSH's own where they are installed, since they are what
// is out there, and small built-in ones where they are not. Which one it is can
// be asked and should be shown.
package sshtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// BackendEnv is the variable that tells a session on which server it is:
// "printenv SLUICE_BACKEND" prints [ServerOptions.Name].
const BackendEnv = "SLUICE_BACKEND"

// bannerLimit is the longest identification line (RFC 4253, section 4.2).
const bannerLimit = 255

// ServerOptions say what a [Server] is.
type ServerOptions struct {
	// Name tells the sessions where they are. It must not hold spaces.
	Name string
	// Addrs are where the server listens; 0.0.0.0 and :: take every address of
	// their family. At least one.
	Addrs []netip.AddrPort
	// Dir is an existing directory for the server's files, its own alone.
	Dir string
	// HostKey is the server's key. Servers behind one VIP share one, as they
	// would in a cluster. The zero value makes a new one.
	HostKey Key
	// Authorized are the keys that may log in, as root.
	Authorized []ssh.PublicKey
	// BuiltIn takes the built-in server although sshd is installed.
	BuiltIn bool
	// Echo has every command answered by what the session hears, without a
	// program: for many sessions. It implies BuiltIn.
	Echo bool
	// Proxy has the server take only connections that begin with a PROXY v2
	// header, and refuse others. It implies BuiltIn: OpenSSH reads none.
	Proxy bool
	// Config are more lines of sshd_config, before ours, so that they win. The
	// built-in server has no such thing.
	Config []string
}

// Server is an SSH server inside a namespace.
type Server struct {
	hostKey  Key
	software string
	builtIn  bool
	stop     func() error
}

// Start starts a server and returns when it answers on every address: OpenSSH's
// sshd, or the built-in server where sshd is not installed or BuiltIn is set.
func Start(ctx context.Context, n *nettest.Namespace, o ServerOptions) (*Server, error) {
	if len(o.Addrs) == 0 || strings.ContainsAny(o.Name, " \t\n") {
		return nil, fmt.Errorf("start ssh server %q: it needs an address, and a name without spaces", o.Name)
	}
	if o.HostKey == (Key{}) {
		key, err := NewKey()
		if err != nil {
			return nil, fmt.Errorf("start ssh server %q: %v", o.Name, err)
		}
		o.HostKey = key
	}
	start := startOpenSSH
	if _, err := nettest.FindProgram("sshd"); err != nil || o.BuiltIn || o.Echo || o.Proxy {
		start = startBuiltIn
	}
	s, err := start(ctx, n, o)
	if err != nil {
		return nil, fmt.Errorf("start ssh server %q: %v", o.Name, err)
	}
	return s, nil
}

// HostKey returns the server's public key.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKey.Public() }

// BuiltIn says whether the server is the built-in one.
func (s *Server) BuiltIn() bool { return s.builtIn }

// Software returns what the server calls itself, such as "OpenSSH_9.2p1".
func (s *Server) Software() string { return s.software }

// Close stops listening and takes nothing new. Sessions of OpenSSH go on, as
// they do when a real sshd is stopped; closing the namespace ends them. Those of
// the built-in server end.
func (s *Server) Close() error { return s.stop() }

// ReadBanner reads the identification line that a server sends first, without
// "SSH-2.0-" and line end.
func ReadBanner(conn net.Conn, within time.Duration) (string, error) {
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, bannerLimit)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read ssh banner: %v", err)
	}
	software, found := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "SSH-2.0-")
	if !found {
		return "", errors.New("read ssh banner: the server does not speak SSH")
	}
	return software, nil
}

// awaitBanner tries until the server at addr sends its banner, ctx ends or the
// server has died.
func awaitBanner(ctx context.Context, n *nettest.Namespace, addr netip.AddrPort, died <-chan struct{}) (string, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := n.Dial(ctx, addr)
		if err == nil {
			var software string
			software, err = ReadBanner(conn, time.Second)
			conn.Close()
			if err == nil {
				return software, nil
			}
		}
		select {
		case <-died:
			return "", errors.New("it ended at once")
		case <-ctx.Done():
			return "", fmt.Errorf("it does not answer: %v", err)
		case <-tick.C:
		}
	}
}
