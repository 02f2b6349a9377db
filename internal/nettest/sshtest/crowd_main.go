package sshtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// CrowdMain is to be the first call of a TestMain, or of a main, whose program
// starts a [RemoteCrowd] or a [RemoteServer]: where this process is one of them
// it does not return.
func CrowdMain() {
	role := os.Getenv(crowdEnv)
	if role == "" {
		return
	}
	if err := crowdMain(role, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crowdMain reads what the end is to be, and answers lines until they end.
func crowdMain(role string, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	var s crowdSpec
	if err := json.Unmarshal(first, &s); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	n, err := nettest.Here()
	if err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	run := s.serve
	if role == crowdClient {
		run = s.attend
	}
	if err := run(n, lines, answers); err != nil {
		return answers.Encode(crowdAnswer{Error: err.Error()})
	}
	return nil
}

// serve is the server's end.
func (s crowdSpec) serve(n *nettest.Namespace, lines *bufio.Reader, answers *json.Encoder) error {
	hostKey, err := parseKey(s.HostKey)
	if err != nil {
		return err
	}
	user, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.UserKey))
	if err != nil {
		return err
	}
	server, err := Start(context.Background(), n, ServerOptions{
		Addrs: s.Addrs, HostKey: hostKey, Authorized: []ssh.PublicKey{user}, Echo: true, Proxy: s.Proxy,
	})
	if err != nil {
		return err
	}
	if err := answers.Encode(crowdAnswer{}); err != nil {
		return err
	}
	// Nobody asks it anything; the end of its input is its own.
	_, _ = io.Copy(io.Discard, lines)
	return server.Close()
}

// attend is the clients' end: a line is a time within which all are to answer,
// or empty.
func (s crowdSpec) attend(n *nettest.Namespace, lines *bufio.Reader, answers *json.Encoder) error {
	crowd, err := s.gather(n)
	if err != nil {
		return err
	}
	if err := answers.Encode(crowdAnswer{}); err != nil {
		return err
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return crowd.Close()
		}
		a := crowdAnswer{}
		if line != "\n" {
			a.Lost, a.Error = lostWithin(crowd, line[:len(line)-1])
		}
		a.Moved = crowd.Moved()
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// gather opens the sessions.
func (s crowdSpec) gather(n *nettest.Namespace) (*Crowd, error) {
	key, err := parseKey(s.UserKey)
	if err != nil {
		return nil, err
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		return nil, err
	}
	c := bareClient(n, key)
	c.trusted[s.Addrs[0]] = []ssh.PublicKey{host}
	open := func(ctx context.Context) (io.ReadWriteCloser, error) { return c.Start(ctx, s.Addrs[0], "echo") }
	return NewCrowd(context.Background(), open, s.Options)
}

// lostWithin asks all and puts what is wrong into words.
func lostWithin(crowd *Crowd, text string) (lost []string, failed string) {
	within, err := time.ParseDuration(text)
	if err != nil {
		return nil, err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, err := range crowd.Answer(ctx) {
		lost = append(lost, err.Error())
	}
	return lost, ""
}
