package sshtest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// lingerTime is how long output is awaited after a command has ended: what it
// left running in the background may hold the other end for ever.
const lingerTime = 200 * time.Millisecond

// session is one channel of the built-in server.
type session struct {
	server   *builtIn
	channel  ssh.Channel
	terminal *terminal
	env      []string
	started  bool
}

// Payloads of session requests (RFC 4254, section 6).
type (
	envRequest  struct{ Name, Value string }
	execRequest struct{ Command string }
	ptyRequest  struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	windowRequest struct{ Columns, Rows, Width, Height uint32 }
	exitStatus    struct{ Status uint32 }
)

// serve answers requests until the client closes the channel, and ends what
// runs in it then.
func (s *session) serve(requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(s.server.ctx)
	defer cancel()
	defer s.channel.Close()
	defer func() {
		// A terminal whose command never came.
		if s.terminal != nil && !s.started {
			s.terminal.close()
		}
	}()
	for r := range requests {
		ok, await := s.handle(ctx, r)
		if r.WantReply {
			// That the client is gone shows when requests ends.
			_ = r.Reply(ok, nil)
		}
		if await != nil {
			// Only now: a short program ends at once and closes the channel,
			// and a client that got no answer before takes that for a failure.
			s.server.tasks.Go(await)
		}
	}
}

// handle answers one request. Where that started the program of the session,
// awaiting its end is left to the caller.
func (s *session) handle(ctx context.Context, r *ssh.Request) (ok bool, await func()) {
	switch r.Type {
	case "env":
		var e envRequest
		if ssh.Unmarshal(r.Payload, &e) != nil {
			return false, nil
		}
		s.env = append(s.env, e.Name+"="+e.Value)
		return true, nil
	case "pty-req":
		return s.openTerminal(r.Payload), nil
	case "window-change":
		var w windowRequest
		return s.terminal != nil && ssh.Unmarshal(r.Payload, &w) == nil &&
			s.terminal.resize(w.Columns, w.Rows) == nil, nil
	case "shell":
		return s.run(ctx, shell(), "-l")
	case "exec":
		var e execRequest
		if ssh.Unmarshal(r.Payload, &e) != nil {
			return false, nil
		}
		return s.run(ctx, shell(), "-c", e.Command)
	default:
		return false, nil
	}
}

// shell is for people too, who expect history and completion.
func shell() string {
	if path, err := exec.LookPath("bash"); err == nil {
		return path
	}
	return "/bin/sh"
}

// openTerminal keeps the terminal until a program takes it.
func (s *session) openTerminal(payload []byte) bool {
	var p ptyRequest
	if s.terminal != nil || ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	t, err := openTerminal()
	if err != nil {
		return false
	}
	s.terminal = t
	s.env = append(s.env, "TERM="+p.Term)
	return t.resize(p.Columns, p.Rows) == nil
}

// run starts the one program of the session.
func (s *session) run(ctx context.Context, program string, args ...string) (ok bool, await func()) {
	if s.started {
		return false, nil
	}
	s.started = true
	if s.server.echo {
		return true, s.sendBack
	}
	cmd := s.server.ns.Command(ctx, program, args...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Env = append(cmd.Env, BackendEnv+"="+s.server.name)
	cmd.WaitDelay = lingerTime
	start := s.startPiped
	if s.terminal != nil {
		start = s.startOnTerminal
	}
	wait, err := start(cmd)
	if err != nil {
		return false, nil
	}
	return true, func() { s.finish(wait()) }
}

// sendBack is all that a command of an echo server does.
func (s *session) sendBack() {
	// How it ended is the client's to find.
	_, _ = io.Copy(s.channel, s.channel)
	s.finish(nil)
}

// startPiped connects the program to the channel. Its input is copied by a
// goroutine of ours: Wait would await the end of one that exec started, and the
// client may never end its input.
func (s *session) startPiped(cmd *nettest.Cmd) (wait func() error, err error) {
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = s.channel, s.channel.Stderr()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.server.tasks.Go(func() {
		// The program may end without reading all.
		_, _ = io.Copy(input, s.channel)
		input.Close()
	})
	return cmd.Wait, nil
}

// startOnTerminal makes the program the leader of a terminal's session.
func (s *session) startOnTerminal(cmd *nettest.Cmd) (wait func() error, err error) {
	t := s.terminal
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.far, t.far, t.far
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		t.close()
		return nil, err
	}
	t.far.Close()
	s.server.tasks.Go(func() { _, _ = io.Copy(t.near, s.channel) })
	output := make(chan struct{})
	s.server.tasks.Go(func() {
		defer close(output)
		// It ends with EIO when the program, which leads the terminal, has
		// ended: then the kernel hangs up on whoever else has it open.
		_, _ = io.Copy(s.channel, t.near)
	})
	return func() error {
		err := cmd.Wait()
		<-output
		t.near.Close()
		return err
	}, nil
}

// finish tells the client how the program ended.
func (s *session) finish(err error) {
	status := exitStatus{}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		// A program that a signal ended has code -1; shells say 128 and more.
		status.Status = uint32(max(exit.ExitCode(), 0))
		if exit.ExitCode() < 0 {
			status.Status = 255
		}
	}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(status))
	s.channel.Close()
}
