package sshtest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// echoes is a server that sends back what it hears, through SSH.
func echoes(t *testing.T, n *nettest.Namespace, c *Client, builtIn bool) {
	t.Helper()
	o := ServerOptions{
		Name: "b1", Dir: t.TempDir(), Echo: builtIn, Authorized: []ssh.PublicKey{c.PublicKey()},
		Addrs: []netip.AddrPort{local4}, Config: []string{"MaxStartups 1000"},
	}
	s, err := Start(within(t), n, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Trust(local4, s.HostKey()); err != nil {
		t.Fatal(err)
	}
}

func opener(c *Client) Opener {
	return func(ctx context.Context) (io.ReadWriteCloser, error) { return c.Start(ctx, local4, "cat") }
}

func TestCrowdMovesAndAnswers(t *testing.T) {
	for name, builtIn := range kinds {
		t.Run(name, func(t *testing.T) {
			n := nettest.ForTest(t)
			c := newClient(t, n, builtIn)
			echoes(t, n, c, builtIn)
			crowd, err := NewCrowd(within(t), opener(c), CrowdOptions{Sessions: 6, Moving: 3, Every: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			for crowd.Moved() < 30<<10 && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			if lost := crowd.Answer(within(t)); len(lost) != 0 {
				t.Errorf("lost: %v", lost)
			}
			if err := crowd.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// faultyPipe is a session whose other side can be broken in three ways.
type faultyPipe struct {
	net.Conn
	mode *atomic.Int32
}

const (
	honest = iota
	corrupts
	silent
	cuts
)

func (p faultyPipe) echo(far net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := far.Read(buffer)
		if err != nil {
			return
		}
		switch p.mode.Load() {
		case corrupts:
			buffer[n-1] ^= 1
		case silent:
			continue
		case cuts:
			far.Close()
			return
		}
		if _, err := far.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestCrowdFindsWhatIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		mode int32
		want string
	}{"corrupted": {corrupts, "not what was sent"}, "silent": {silent, "no answer"}, "cut": {cuts, "EOF"}} {
		t.Run(name, func(t *testing.T) {
			modes := make([]*atomic.Int32, 0, 4)
			open := func(ctx context.Context) (io.ReadWriteCloser, error) {
				near, far := net.Pipe()
				context.AfterFunc(ctx, func() { near.Close() })
				p := faultyPipe{near, new(atomic.Int32)}
				modes = append(modes, p.mode)
				go p.echo(far)
				return p, nil
			}
			crowd, err := NewCrowd(t.Context(), open, CrowdOptions{Sessions: 4, Moving: 2, AtOnce: 1, Every: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer crowd.Close()
			if lost := crowd.Answer(t.Context()); len(lost) != 0 {
				t.Fatalf("lost before anything happened: %v", lost)
			}
			modes[1].Store(tt.mode) // one that moves
			modes[3].Store(tt.mode) // one that is idle
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			lost := crowd.Answer(ctx)
			if len(lost) != 2 {
				t.Fatalf("lost %v, want two", lost)
			}
			for i, want := range []string{"session 1: ", "session 3: "} {
				if got := lost[i].Error(); !strings.HasPrefix(got, want) || !strings.Contains(got, tt.want) {
					t.Errorf("lost: %q, want %q and %q", got, want, tt.want)
				}
			}
			// Lost is lost, also when it would answer again.
			modes[1].Store(honest)
			modes[3].Store(honest)
			if again := crowd.Answer(t.Context()); len(again) != 2 {
				t.Errorf("lost later: %v", again)
			}
		})
	}
}

func TestCrowdRefusesWhoCannotCome(t *testing.T) {
	var asked atomic.Int32
	_, err := NewCrowd(t.Context(), func(context.Context) (io.ReadWriteCloser, error) {
		if asked.Add(1) == 3 {
			return nil, errors.New("the third stays away")
		}
		near, far := net.Pipe()
		far.Close()
		return near, nil
	}, CrowdOptions{Sessions: 4, AtOnce: 1})
	if err == nil || !strings.Contains(err.Error(), "session 2: the third stays away") {
		t.Errorf("got %v", err)
	}
}
