package sshtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
			began := time.Now()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("Close waited %v, for the client to go", took)
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
	tests := map[string]struct {
		options ServerOptions
		says    string
	}{
		"no address":      {ServerOptions{Name: "b1"}, "an address"},
		"name with space": {ServerOptions{Name: "b 1", Addrs: []netip.AddrPort{local4}, BuiltIn: true}, "without spaces"},
		"foreign address": {ServerOptions{Name: "b1", Addrs: foreign, BuiltIn: true}, "192.0.2.1:22"},
		"no directory":    {ServerOptions{Name: "b1", Addrs: []netip.AddrPort{local4}, Dir: "/no/such/directory"}, "/no/such/directory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.options.Dir != "" {
				nettest.Require(t, nettest.Program("sshd"))
			}
			_, err := Start(within(t), n, tt.options)
			wantError(t, err, "start ssh server", tt.options.Name, tt.says)
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

func TestUsePAM(t *testing.T) {
	const other = "daemon:!:1:0:99999:7:::\n"
	for shadow, want := range map[string]string{
		"":                           "no",
		"root:*:1:0:99999:7:::\n":    "no",
		"root:$y$x:1:0:99999:7:::\n": "no",
		"root:!:1:0:99999:7:::\n":    "yes",
		other + "root:!$y$x:1:::\n":  "yes",
		other + "root:*:1:::\n":      "no",
		"toroot:!:1:::\n":            "no",
	} {
		if got := usePAM(shadow); got != want {
			t.Errorf("UsePAM is %q with %q, want %q", got, shadow, want)
		}
	}
}

func TestAwaitBannerIsPatientOnlyAsLongAsAsked(t *testing.T) {
	n := nettest.ForTest(t)
	nettest.ServeForTest(t, n, local4, nettest.ServerOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := awaitBanner(ctx, n, local4, nil)
	wantError(t, err, "does not answer")
	died := make(chan struct{})
	close(died)
	_, err = awaitBanner(within(t), n, local6, died)
	wantError(t, err, "ended at once")
}

// Clients that connect and say nothing do not keep the built-in server from
// closing, and its sessions run at once.
func TestBuiltInServesManyAtOnce(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, true)
	s := newServer(t, n, c, true)
	silent, err := nettest.OpenConns(within(t), n, local4, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if name, err := c.Backend(within(t), local4); err != nil || name != "b1" {
				t.Errorf("backend is %q (%v)", name, err)
			}
		})
	}
	group.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Backends of one VIP share a key, so that clients meet one host.
func TestServersShareAHostKey(t *testing.T) {
	n := nettest.ForTest(t)
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, n, true)
	for i, builtIn := range []bool{true, false} {
		if !builtIn {
			nettest.Require(t, nettest.Program("sshd"))
		}
		addr := netip.AddrPortFrom(local4.Addr(), uint16(22+i))
		dir := t.TempDir()
		s, err := Start(within(t), n, ServerOptions{
			Name: "b1", Dir: dir, BuiltIn: builtIn, HostKey: key,
			Addrs: []netip.AddrPort{addr}, Authorized: []ssh.PublicKey{c.PublicKey()},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if !bytes.Equal(s.HostKey().Marshal(), key.Public().Marshal()) {
			t.Error("it shows another key than it was given")
		}
		if err := c.Trust(addr, key.Public()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Backend(within(t), addr); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(filepath.Join(dir, "host_key")); !builtIn && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("the key file has mode %v (%v)", info.Mode(), err)
		}
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

// bare logs in with x/crypto, for requests that Client does not make.
func bare(t *testing.T, c *Client) *ssh.Client {
	t.Helper()
	conn, err := c.ns.Dial(within(t), local4)
	if err != nil {
		t.Fatal(err)
	}
	transport, channels, requests, err := ssh.NewClientConn(conn, "", c.builtInConfig(local4))
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(transport, channels, requests)
	t.Cleanup(func() { client.Close() })
	return client
}

// The terminal has the size that the client said, and takes a new one.
func TestBuiltInTerminalFollowsTheClients(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, true)
	newServer(t, n, c, true)
	s, err := bare(t, c).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("vt220", 43, 132, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	input, inputErr := s.StdinPipe()
	output, outputErr := s.StdoutPipe()
	const script = "stty -echo; stty size; read x; stty size; echo by name > /dev/tty; sleep 100 & disown; exit 0"
	if err := errors.Join(inputErr, outputErr, s.Start(script)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	if line, err := lines.ReadString('\n'); err != nil || line != "43 132\r\n" {
		t.Errorf("at first the size is %q (%v)", line, err)
	}
	if err := s.WindowChange(50, 200); err != nil {
		t.Fatal(err)
	}
	// The request has no answer; the next one on the channel comes after it.
	if _, err := s.SendRequest("nothing", true, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(input, "\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); err != nil || line != "50 200\r\n" {
		t.Errorf("after the change the size is %q (%v)", line, err)
	}
	// It is the program's controlling terminal, and gone with the program
	// whatever that leaves behind.
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "by name\r\n" {
		t.Errorf("then it showed %q (%v)", rest, err)
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestBuiltInRefuses(t *testing.T) {
	n := nettest.ForTest(t)
	c := newClient(t, n, true)
	newServer(t, n, c, true)
	client := bare(t, c)
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
