package sshtest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// builtInVersion is how the built-in server identifies itself.
const builtInVersion = "SSH-2.0-Sluice_test_server"

// handshakeWithin bounds a login, so that a silent client holds nothing.
const handshakeWithin = 30 * time.Second

// builtIn is a small SSH server: public keys, shell, exec and a terminal. It has
// no sftp and no forwarding.
type builtIn struct {
	ns        *nettest.Namespace
	name      string
	echo      bool
	config    *ssh.ServerConfig
	listeners []net.Listener

	ctx    context.Context // ends with the server; kills what sessions run
	cancel context.CancelFunc

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	tasks sync.WaitGroup
}

// startBuiltIn listens before it returns, so there is nothing to wait for. The
// server outlives ctx, which is for starting it.
func startBuiltIn(ctx context.Context, n *nettest.Namespace, o ServerOptions) (*Server, error) {
	b := &builtIn{ns: n, name: o.Name, echo: o.Echo, config: builtInConfig(o), conns: make(map[net.Conn]struct{})}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, addr := range o.Addrs {
		l, err := n.Listen(addr)
		if err != nil {
			return nil, errors.Join(err, b.stop())
		}
		if o.Proxy {
			l = behindProxy(l)
		}
		b.listeners = append(b.listeners, l)
		b.tasks.Go(func() { b.accept(l) })
	}
	return &Server{
		hostKey:  o.HostKey,
		software: builtInVersion[len("SSH-2.0-"):],
		builtIn:  true,
		stop:     b.stop,
	}, nil
}

// builtInConfig lets anybody be root who holds an authorized key.
func builtInConfig(o ServerOptions) *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		ServerVersion: builtInVersion,
		PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
			known := slices.ContainsFunc(o.Authorized, func(k ssh.PublicKey) bool {
				return bytes.Equal(k.Marshal(), offered.Marshal())
			})
			if !known {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}
	config.AddHostKey(o.HostKey.Signer())
	return config
}

// behindProxy has l's connections begin with a PROXY header; what does not is
// closed when it is read.
func behindProxy(l net.Listener) net.Listener {
	require := func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.REQUIRE, nil }
	return &proxyproto.Listener{Listener: l, ConnPolicy: require, ReadHeaderTimeout: handshakeWithin}
}

// accept ends with its listener.
func (b *builtIn) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if b.admit(conn) {
			b.tasks.Go(func() { b.serve(conn) })
		}
	}
}

// admit notes a connection, so that stop can cut it.
func (b *builtIn) admit(conn net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		conn.Close()
		return false
	}
	b.conns[conn] = struct{}{}
	return true
}

// serve carries one connection.
func (b *builtIn) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, conn)
	}()
	if conn.SetDeadline(time.Now().Add(handshakeWithin)) != nil {
		return
	}
	_, channels, requests, err := ssh.NewServerConn(conn, b.config)
	if err != nil || conn.SetDeadline(time.Time{}) != nil {
		return
	}
	b.tasks.Go(func() { ssh.DiscardRequests(requests) })
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for offered := range channels {
		if offered.ChannelType() != "session" {
			// That the client is gone shows when channels ends.
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions here")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			continue
		}
		s := &session{server: b, channel: channel}
		sessions.Go(func() { s.serve(requests) })
	}
}

// stop ends listeners, connections and what runs in their sessions.
func (b *builtIn) stop() error {
	b.mu.Lock()
	b.cancel()
	for conn := range b.conns {
		conn.Close()
	}
	b.mu.Unlock()
	var errs []error
	for _, l := range b.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	b.tasks.Wait()
	return errors.Join(errs...)
}
