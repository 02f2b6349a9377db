package sshtest

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// contextUntil ends a context shortly after cond became true.
func contextUntil(t *testing.T, cond func() bool) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	go func() {
		for ctx.Err() == nil && !cond() {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	return ctx, cancel
}

func TestCloseStopsListening(t *testing.T) {
	for server, builtIn := range kinds {
		t.Run(server, func(t *testing.T) {
			n := nettest.ForTest(t)
			c := newClient(t, n, true)
			s := newServer(t, n, c, builtIn)
			session, err := c.Start(within(t), local4, "cat")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Dial(within(t), local4); err == nil {
				t.Error("it still listens")
			}
			_, err = session.Write([]byte("alive?\n"))
			if err == nil {
				_, err = io.ReadFull(session, make([]byte, 7))
			}
			if alive := err == nil; alive == builtIn {
				t.Errorf("after Close the session works: %v", alive)
			}
			if err := session.Close(); err != nil && !builtIn {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}

func TestSSHDSaysWhyItDoesNotStart(t *testing.T) {
	nettest.Require(t, nettest.Program("sshd"))
	n := nettest.ForTest(t)
	_, err := Start(within(t), n, ServerOptions{
		Name: "b1", Dir: t.TempDir(), Addrs: []netip.AddrPort{local4}, Config: []string{"NoSuchKeyword yes"},
	})
	wantError(t, err, `"b1"`, "NoSuchKeyword", "ended at once")
}

func TestStartRefuses(t *testing.T) {
	n := nettest.ForTest(t)
	foreign := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:22")}
	tests := map[string]ServerOptions{
		"no address":      {Name: "b1"},
		"name with space": {Name: "b 1", Addrs: []netip.AddrPort{local4}},
		"foreign address": {Name: "b1", Addrs: foreign, BuiltIn: true},
		"no directory":    {Name: "b1", Addrs: []netip.AddrPort{local4}, Dir: "/no/such/directory"},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			if o.Dir != "" {
				nettest.Require(t, nettest.Program("sshd"))
			}
			_, err := Start(within(t), n, o)
			wantError(t, err, "start ssh server", o.Name)
		})
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	o := ServerOptions{Name: "b7", Dir: dir, Addrs: []netip.AddrPort{local6}, Config: []string{"MaxStartups 1"}}
	config := o.config()
	for _, line := range []string{
		"ListenAddress [::1]:2022", "SetEnv SLUICE_BACKEND=b7", "MaxStartups 10000",
		"PidFile " + dir + "/sshd.pid", "AuthorizedKeysFile " + dir + "/authorized_keys", "PasswordAuthentication no",
	} {
		if !strings.Contains("\n"+config, "\n"+line+"\n") {
			t.Errorf("the configuration lacks %q:\n%s", line, config)
		}
	}
	if !strings.HasPrefix(config, "MaxStartups 1\n") {
		t.Error("the caller's lines do not come first, so they do not win")
	}
}

// Start-up limits must not drop connections of a test that opens many at once.
func TestSSHDTakesManyAtOnce(t *testing.T) {
	nettest.Require(t, nettest.Program("sshd"))
	n := nettest.ForTest(t)
	newServer(t, n, newClient(t, n, true), false)
	const count = 120
	conns, err := nettest.OpenConns(within(t), n, local4, count)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	got, err := conns.Read(len("SSH-2.0-"), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for i, banner := range got {
		if banner != "SSH-2.0-" {
			t.Errorf("connection %d got %q", i, banner)
		}
	}
}

func TestReadBanner(t *testing.T) {
	tests := map[string]struct{ sent, want, fails string }{
		"openssh":     {"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "OpenSSH_9.2p1 Debian-2", ""},
		"no cr":       {"SSH-2.0-x\n", "x", ""},
		"other":       {"220 smtp ready\r\n", "", "does not speak SSH"},
		"old":         {"SSH-1.5-x\r\n", "", "does not speak SSH"},
		"cut":         {"SSH-2.0-x", "", "EOF"},
		"silent":      {"", "", "EOF"},
		"without end": {"SSH-2.0-" + strings.Repeat("x", 300) + "\n", "", "EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				_, _ = io.WriteString(far, tt.sent)
				far.Close()
			}()
			got, err := ReadBanner(near, time.Second)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.fails != "" {
				wantError(t, err, tt.fails)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	_, err := ReadBanner(near, time.Millisecond)
	wantError(t, err, "timeout")
}

func TestTerminal(t *testing.T) {
	for server, builtIn := range kinds {
		t.Run(server, func(t *testing.T) {
			n := nettest.ForTest(t)
			c := newClient(t, n, false)
			newServer(t, n, c, builtIn)
			cmd := c.SSH(within(t), local4, "-tt", "stty -echo; test -t 0 && echo $TERM; read x; echo got $x; exit 3")
			cmd.Env = append(os.Environ(), "TERM=vt220")
			cmd.Stdin = strings.NewReader("typed\n")
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), "vt220\r\n") || !strings.Contains(string(out), "got typed\r\n") {
				t.Errorf("the terminal showed %q", out)
			}
			wantError(t, err, "exit status 3")
		})
	}
}

// Terminals come and go without leaving descriptors or processes behind.
func TestBuiltInShell(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, false)
	newServer(t, n, c, true)
	for range 5 {
		cmd := c.SSH(within(t), local4, "-tt")
		cmd.Stdin = strings.NewReader("stty size\nexit\n")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "stty") {
			t.Errorf("the shell showed %q (%v)", out, err)
		}
	}
	if left, err := os.ReadDir("/proc/self/fd"); err == nil {
		for _, fd := range left {
			if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(target, "ptmx") {
				t.Errorf("descriptor %s is still %s", fd.Name(), target)
			}
		}
	}
}

func TestTerminalSize(t *testing.T) {
	term, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	defer term.close()
	if err := term.resize(132, 43); err != nil {
		t.Fatal(err)
	}
	out, err := nettest.ForTest(t).Command(within(t), "stty", "-F", term.far.Name(), "size").Output()
	if err != nil || string(out) != "43 132\n" {
		t.Errorf("the size is %q (%v), want 43 132", out, err)
	}
}

func TestBuiltInRefuses(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, true)
	newServer(t, n, c, true)
	conn, err := n.Dial(within(t), local4)
	if err != nil {
		t.Fatal(err)
	}
	transport, channels, requests, err := ssh.NewClientConn(conn, "", c.builtInConfig(local4))
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(transport, channels, requests)
	defer client.Close()
	if _, _, err := client.OpenChannel("direct-tcpip", nil); err == nil {
		t.Error("it forwards")
	}
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if s.RequestSubsystem("sftp") == nil {
		t.Error("it has a subsystem")
	}
	if s.WindowChange(1, 1) != nil {
		t.Error("a window change without a terminal broke the session")
	}
	for _, request := range []string{"pty-req", "env", "exec", "window-change"} {
		if ok, err := s.SendRequest(request, true, []byte{0, 0, 0, 9}); ok || err != nil {
			t.Errorf("a broken %s request: accepted %v (%v)", request, ok, err)
		}
	}
	if err := s.Start("cat"); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.SendRequest("exec", true, ssh.Marshal(execRequest{"true"})); ok || err != nil {
		t.Errorf("a second program in one session: accepted %v (%v)", ok, err)
	}
}
