package sshtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Session is a command that runs on a server: what is written is its input, what
// is read its output.
type Session struct {
	input  io.WriteCloser
	output io.Reader
	// wait returns how the command ended.
	wait func() error
	once sync.Once
	err  error
}

// Read reads what the command prints; io.EOF when it has ended.
func (s *Session) Read(b []byte) (int, error) { return s.output.Read(b) }

// Write writes to the command's input.
func (s *Session) Write(b []byte) (int, error) { return s.input.Write(b) }

// CloseWrite ends the command's input. It may fail where the command has ended.
func (s *Session) CloseWrite() error { return s.input.Close() }

// Close ends the command's input, waits for its end and says how it ended: an
// exit code other than 0 is an error, as is a connection that broke.
func (s *Session) Close() error {
	s.once.Do(func() {
		// It may be closed already; wait tells what matters.
		_ = s.input.Close()
		s.err = s.wait()
	})
	return s.err
}

// startProgram logs in with OpenSSH's ssh. What it complains of, such as a host
// key it does not know, is told with the error at the end.
func (c *Client) startProgram(ctx context.Context, addr netip.AddrPort, command string) (*Session, error) {
	cmd := c.SSH(ctx, addr, command)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	wait := func() error {
		err := cmd.Wait()
		if err != nil && complaint.Len() > 0 {
			err = fmt.Errorf("%v: %s", err, bytes.TrimSpace(complaint.Bytes()))
		}
		return err
	}
	return &Session{input: input, output: output, wait: wait}, nil
}

// startBuiltIn logs in with x/crypto.
func (c *Client) startBuiltIn(ctx context.Context, addr netip.AddrPort, command string) (*Session, error) {
	conn, err := c.ns.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	// ctx ends the connection, whatever waits for it just then.
	release := context.AfterFunc(ctx, func() { conn.Close() })
	s, err := c.sessionOn(conn, addr, command)
	if err != nil {
		release()
		conn.Close()
		return nil, err
	}
	end := s.wait
	s.wait = func() error {
		defer release()
		return end()
	}
	return s, nil
}

// sessionOn logs in over a connection, which the session closes at its end. On
// an error that is left to the caller.
func (c *Client) sessionOn(conn net.Conn, addr netip.AddrPort, command string) (*Session, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeWithin)); err != nil {
		return nil, err
	}
	transport, channels, requests, err := ssh.NewClientConn(conn, addr.String(), c.builtInConfig(addr))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	client := ssh.NewClient(transport, channels, requests)
	remote, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	input, inputErr := remote.StdinPipe()
	output, outputErr := remote.StdoutPipe()
	if err := errors.Join(inputErr, outputErr); err != nil {
		return nil, err
	}
	if err := remote.Start(command); err != nil {
		return nil, err
	}
	wait := func() error { return errors.Join(remote.Wait(), client.Close()) }
	return &Session{input: input, output: output, wait: wait}, nil
}

// builtInConfig trusts what [Client.Trust] was told, and nothing else.
func (c *Client) builtInConfig(addr netip.AddrPort) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User: "root",
		Auth: []ssh.AuthMethod{ssh.PublicKeys(c.key.Signer())},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !c.trusts(addr, key) {
				return fmt.Errorf("host key of %s is not trusted", addr)
			}
			return nil
		},
	}
}
