package sshtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// crowdEnv makes a program that calls [CrowdMain] one end of a crowd; its value
// is the end.
const crowdEnv = "SSHTEST_CROWD"

// The ends.
const (
	crowdServer = "server"
	crowdClient = "client"
)

// crowdSpec is what an end is told, as the first line of its standard input.
type crowdSpec struct {
	Addrs   []netip.AddrPort
	HostKey string // PEM at the server, authorized_keys at the client
	UserKey string // the other way round
	Options CrowdOptions
	Proxy   bool // the server is behind one
}

// crowdAnswer is one line of an end's standard output.
type crowdAnswer struct {
	Error string   `json:",omitempty"`
	Lost  []string `json:",omitempty"`
	Moved int64
}

// RemoteOptions say what a [RemoteCrowd] does.
type RemoteOptions struct {
	CrowdOptions
	// Addr is what the clients dial.
	Addr netip.AddrPort
	// HostKey is the servers', UserKey what the clients log in with.
	HostKey ssh.PublicKey
	UserKey Key
}

// RemoteCrowd is a [Crowd] in a process of its own: its descriptors, memory and
// collector are not the test's. The program must call [CrowdMain] first.
type RemoteCrowd struct{ end *crowdEnd }

// StartCrowd starts one inside a namespace and returns when all sessions are
// open.
func StartCrowd(ctx context.Context, n *nettest.Namespace, o RemoteOptions) (*RemoteCrowd, error) {
	key, err := o.UserKey.pem()
	if err != nil {
		return nil, err
	}
	end, err := startEnd(ctx, n, crowdClient, crowdSpec{
		Addrs: []netip.AddrPort{o.Addr}, Options: o.CrowdOptions,
		HostKey: string(ssh.MarshalAuthorizedKey(o.HostKey)), UserKey: key,
	})
	if err != nil {
		return nil, fmt.Errorf("start a crowd: %w", err)
	}
	return &RemoteCrowd{end}, nil
}

// Answer has every session answer once more, as [Crowd.Answer] does, and returns
// what is wrong with each that does not.
func (r *RemoteCrowd) Answer(within time.Duration) (lost []string, err error) {
	a, err := r.end.ask(within.String())
	return a.Lost, err
}

// Moved returns how many bytes went there and back so far.
func (r *RemoteCrowd) Moved() (int64, error) {
	a, err := r.end.ask("")
	return a.Moved, err
}

// PID is the process's number, to look at what it costs.
func (r *RemoteCrowd) PID() int { return r.end.cmd.Process.Pid }

// Close ends the process.
func (r *RemoteCrowd) Close() error { return r.end.close() }

// RemoteServer is an SSH server, as with [ServerOptions.Echo], in a process of
// its own. It survives what happens to the test's.
type RemoteServer struct{ end *crowdEnd }

// StartRemoteServer starts one inside a namespace. Of the options Addrs, HostKey,
// Proxy and one key of Authorized count. The program must call [CrowdMain] first.
func StartRemoteServer(ctx context.Context, n *nettest.Namespace, o ServerOptions) (*RemoteServer, error) {
	if len(o.Authorized) != 1 {
		return nil, fmt.Errorf("start a remote ssh server: %d authorized keys; it takes one", len(o.Authorized))
	}
	key, err := o.HostKey.pem()
	if err != nil {
		return nil, err
	}
	end, err := startEnd(ctx, n, crowdServer, crowdSpec{
		Addrs: o.Addrs, HostKey: key, UserKey: string(ssh.MarshalAuthorizedKey(o.Authorized[0])),
		Proxy: o.Proxy,
	})
	if err != nil {
		return nil, fmt.Errorf("start a remote ssh server: %w", err)
	}
	return &RemoteServer{end}, nil
}

// PID is the process's number.
func (r *RemoteServer) PID() int { return r.end.cmd.Process.Pid }

// Close ends the process.
func (r *RemoteServer) Close() error { return r.end.close() }

// crowdEnd is the parent's side of one process.
type crowdEnd struct {
	cmd    *nettest.Cmd
	input  io.WriteCloser
	output *bufio.Reader
	said   bytes.Buffer // to be read when it has ended
	mu     sync.Mutex   // held for one question and its answer
}

// startEnd starts this very program again and returns when it is ready.
func startEnd(ctx context.Context, n *nettest.Namespace, role string, s crowdSpec) (*crowdEnd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &crowdEnd{cmd: n.Command(context.WithoutCancel(ctx), self)}
	e.cmd.Env = append(os.Environ(), crowdEnv+"="+role)
	e.cmd.Stderr = &e.said
	if e.input, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.output = bufio.NewReader(output)
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = e.cmd.Process.Kill() })() // ctx is for the start alone
	text, err := json.Marshal(s)
	if err == nil {
		_, err = e.ask(string(text))
	}
	if err != nil {
		return nil, errors.Join(err, ctx.Err(), e.close())
	}
	return e, nil
}

// ask sends a line and reads the one that answers it.
func (e *crowdEnd) ask(line string) (a crowdAnswer, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := io.WriteString(e.input, line+"\n"); err != nil {
		return a, fmt.Errorf("ask the process: %w", err)
	}
	text, err := e.output.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("hear from the process: %w", err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("hear from the process: %w: %s", err, text)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// close has the process end by the end of its input.
func (e *crowdEnd) close() error {
	_ = e.input.Close() // it may have ended
	err := e.cmd.Wait()
	if err != nil && e.said.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(e.said.String()))
	}
	return err
}
