package sshtest

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// stock returns OpenSSH's client and server with a random file to carry.
func stock(t *testing.T) (c *Client, file string, content []byte) {
	t.Helper()
	n := nettest.ForTest(t)
	c = newClient(t, n, false)
	newServer(t, n, c, false)
	content = make([]byte, 300_000)
	_, _ = rand.Read(content)
	file = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return c, file, content
}

func TestStockPrograms(t *testing.T) {
	nettest.Require(t, nettest.Program("scp"), nettest.Program("sftp"), nettest.Program("rsync"))
	c, file, content := stock(t)
	for _, addr := range []netip.AddrPort{local4, local6} {
		copies := map[string]func(to string) *nettest.Cmd{
			"scp there": func(to string) *nettest.Cmd { return c.SCP(within(t), addr, file, c.Remote(addr, to)) },
			"scp here":  func(to string) *nettest.Cmd { return c.SCP(within(t), addr, c.Remote(addr, file), to) },
			"sftp": func(to string) *nettest.Cmd {
				return c.SFTP(within(t), addr, fmt.Sprintf("put %s %s\n", file, to))
			},
			"rsync": func(to string) *nettest.Cmd {
				return c.ns.Command(within(t), "rsync", "-e", c.Shell(addr), file, c.Remote(addr, to))
			},
		}
		for name, command := range copies {
			t.Run(fmt.Sprintf("%s %s", name, addr), func(t *testing.T) {
				to := filepath.Join(t.TempDir(), "copy")
				if out, err := command(to).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if !bytes.Equal([]byte(readFile(t, to)), content) {
					t.Error("the copy differs")
				}
			})
		}
	}
}

func TestGit(t *testing.T) {
	nettest.Require(t, nettest.Program("git"))
	c, _, _ := stock(t)
	dir := t.TempDir()
	steps := [][]string{
		{"init", "-q", "--bare", dir + "/there.git"},
		{"clone", "-q", fmt.Sprintf("ssh://root@%s%s/there.git", local6, dir), dir + "/here"},
	}
	for _, args := range steps {
		cmd := c.ns.Command(within(t), "git", args...)
		cmd.Env = append(os.Environ(), "GIT_SSH_COMMAND="+c.Shell(local6))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
}

// The line that is shown to people works as they would use it.
func TestCommandLine(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.Program("ip"))
	n, err := nettest.New(fmt.Sprintf("sshtest-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	c := newClient(t, n, false)
	newServer(t, n, c, true)
	for _, addr := range []netip.AddrPort{local4, local6} {
		line := c.CommandLine(addr) + " printenv " + BackendEnv
		out, err := exec.CommandContext(within(t), "sh", "-c", line).CombinedOutput()
		if err != nil || string(out) != "b1\n" {
			t.Errorf("%s: %q (%v), want b1", line, out, err)
		}
	}
}

func TestNames(t *testing.T) {
	c := &Client{dir: "/d"}
	v4 := netip.MustParseAddrPort("192.0.2.3:22")
	v6 := netip.MustParseAddrPort("[2001:db8::3]:2022")
	for _, tt := range []struct{ got, want string }{
		{c.Remote(v4, "/f"), "root@192.0.2.3:/f"},
		{c.Remote(v6, "/f"), "root@[2001:db8::3]:/f"},
		{c.Shell(v6), "ssh -F /d/ssh_config -p 2022"},
		{knownHost(v4), "192.0.2.3"},
		{knownHost(v6), "[2001:db8::3]:2022"},
		{knownHost(netip.AddrPortFrom(v6.Addr(), 22)), "2001:db8::3"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestNewClientNeedsItsDirectory(t *testing.T) {
	_, err := NewClient(nil, "/no/such/directory")
	wantError(t, err, "/no/such/directory")
	c := &Client{dir: "/no/such/directory", trusted: make(map[netip.AddrPort][]ssh.PublicKey)}
	wantError(t, c.Trust(local4), local4.String())
}
