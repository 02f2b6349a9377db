package sshtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// Client logs in to SSH servers from inside a namespace, with a key and a list
// of known hosts of its own and nothing of the caller's home directory.
type Client struct {
	ns  *nettest.Namespace
	dir string
	key Key
	// program is OpenSSH's client, or "" where it is not installed.
	program string

	mu      sync.Mutex
	trusted map[netip.AddrPort][]ssh.PublicKey
}

// NewClient makes a client with a new key. dir is an existing directory for its
// files, its own alone. It runs OpenSSH's ssh where that is installed, and is
// built in where not.
func NewClient(n *nettest.Namespace, dir string) (*Client, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	c := bareClient(n, key)
	c.dir = dir
	// Not being installed is fine: then the built-in one does it.
	c.program, _ = nettest.FindProgram("ssh")
	files := []error{
		key.write(c.file("id_ed25519")),
		os.WriteFile(c.file("known_hosts"), nil, 0o600),
		os.WriteFile(c.file("ssh_config"), []byte(c.config()), 0o600),
	}
	if err := errors.Join(files...); err != nil {
		return nil, fmt.Errorf("write ssh client's files: %v", err)
	}
	return c, nil
}

// bareClient is a built-in one without files.
func bareClient(n *nettest.Namespace, key Key) *Client {
	return &Client{ns: n, key: key, trusted: make(map[netip.AddrPort][]ssh.PublicKey)}
}

// UseBuiltIn makes the built-in client log in although ssh is installed. To be
// called before the first login.
func (c *Client) UseBuiltIn() { c.program = "" }

func (c *Client) file(name string) string { return filepath.Join(c.dir, name) }

// config names every file that ssh would else look for at home, and refuses to
// ask: nobody is there to answer.
func (c *Client) config() string {
	return strings.Join([]string{
		"User root",
		"IdentityFile " + c.file("id_ed25519"),
		"IdentitiesOnly yes",
		"IdentityAgent none",
		"UserKnownHostsFile " + c.file("known_hosts"),
		"GlobalKnownHostsFile /dev/null",
		"StrictHostKeyChecking yes",
		"UpdateHostKeys no",
		"BatchMode yes",
		"ConnectTimeout 10",
		"LogLevel ERROR",
	}, "\n") + "\n"
}

// PublicKey returns the key to authorize on servers.
func (c *Client) PublicKey() ssh.PublicKey { return c.key.Public() }

// Software names the program that logs in: "OpenSSH" or "built-in client".
func (c *Client) Software() string {
	if c.program == "" {
		return "built-in client"
	}
	return "OpenSSH"
}

// Trust makes host keys known for an address, besides those that are. Several
// are fine: behind a VIP each backend may show its own.
func (c *Client) Trust(addr netip.AddrPort, keys ...ssh.PublicKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted[addr] = append(c.trusted[addr], keys...)
	var lines bytes.Buffer
	for addr, keys := range c.trusted {
		for _, key := range keys {
			fmt.Fprintf(&lines, "%s %s", knownHost(addr), ssh.MarshalAuthorizedKey(key))
		}
	}
	if err := os.WriteFile(c.file("known_hosts"), lines.Bytes(), 0o600); err != nil {
		return fmt.Errorf("trust %s: %v", addr, err)
	}
	return nil
}

// knownHost is how OpenSSH looks an address up.
func knownHost(a netip.AddrPort) string {
	if a.Port() == 22 {
		return a.Addr().String()
	}
	return fmt.Sprintf("[%s]:%d", a.Addr(), a.Port())
}

// trusts is the built-in client's known_hosts.
func (c *Client) trusts(addr netip.AddrPort, key ssh.PublicKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.trusted[addr], func(k ssh.PublicKey) bool {
		return bytes.Equal(k.Marshal(), key.Marshal())
	})
}

// Start logs in and starts a command, which is over when the session is closed
// or ctx ends.
func (c *Client) Start(ctx context.Context, addr netip.AddrPort, command string) (*Session, error) {
	start := c.startProgram
	if c.program == "" {
		start = c.startBuiltIn
	}
	s, err := start(ctx, addr, command)
	if err != nil {
		return nil, fmt.Errorf("log in to %s: %v", addr, err)
	}
	return s, nil
}

// Run logs in, runs a command without input and returns what it printed.
func (c *Client) Run(ctx context.Context, addr netip.AddrPort, command string) (string, error) {
	s, err := c.Start(ctx, addr, command)
	if err != nil {
		return "", err
	}
	// It fails if the command has ended already, which is no fault of either.
	_ = s.CloseWrite()
	out, err := io.ReadAll(s)
	if err := errors.Join(err, s.Close()); err != nil {
		return string(out), fmt.Errorf("run %q on %s: %v", command, addr, err)
	}
	return string(out), nil
}

// Backend logs in and asks the server for its name, see [BackendEnv].
func (c *Client) Backend(ctx context.Context, addr netip.AddrPort) (string, error) {
	name, err := c.Run(ctx, addr, "printenv "+BackendEnv)
	return strings.TrimSpace(name), err
}

// SSH prepares OpenSSH's ssh to addr, with more arguments behind the address: a
// command, or none for a shell.
func (c *Client) SSH(ctx context.Context, addr netip.AddrPort, args ...string) *nettest.Cmd {
	return c.ns.Command(ctx, "ssh", append(c.options(addr, "-p"), args...)...)
}

// SCP prepares OpenSSH's scp for a server at addr; args name what to copy, with
// [Client.Remote] for what is there.
func (c *Client) SCP(ctx context.Context, addr netip.AddrPort, args ...string) *nettest.Cmd {
	options := []string{"-F", c.file("ssh_config"), "-P", port(addr)}
	return c.ns.Command(ctx, "scp", append(options, args...)...)
}

// SFTP prepares OpenSSH's sftp to addr with a batch of commands, one a line.
func (c *Client) SFTP(ctx context.Context, addr netip.AddrPort, batch string) *nettest.Cmd {
	cmd := c.ns.Command(ctx, "sftp", "-F", c.file("ssh_config"), "-P", port(addr), "-b", "-", "root@"+bracketed(addr))
	cmd.Stdin = strings.NewReader(batch)
	return cmd
}

// Remote returns a path on the server at addr as scp and rsync take it.
func (c *Client) Remote(addr netip.AddrPort, path string) string {
	return "root@" + bracketed(addr) + ":" + path
}

// Shell returns the command that programs which run ssh themselves need for a
// server at addr: "rsync -e" and GIT_SSH_COMMAND. They add the host.
func (c *Client) Shell(addr netip.AddrPort) string {
	return fmt.Sprintf("ssh -F %s -p %s", c.file("ssh_config"), port(addr))
}

// CommandLine returns the line that a person may paste to log in to addr. The
// namespace must have a name.
func (c *Client) CommandLine(addr netip.AddrPort) string {
	return fmt.Sprintf("ip netns exec %s ssh %s", c.ns.Name(), strings.Join(c.options(addr, "-p"), " "))
}

// options are those of ssh, the host among them. The port is left out where it
// is the usual one.
func (c *Client) options(addr netip.AddrPort, portOption string) []string {
	options := []string{"-F", c.file("ssh_config")}
	if addr.Port() != 22 {
		options = append(options, portOption, port(addr))
	}
	return append(options, addr.Addr().String())
}

func port(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

// bracketed keeps the colons of an IPv6 address apart from those of a path.
func bracketed(a netip.AddrPort) string {
	if a.Addr().Is6() {
		return "[" + a.Addr().String() + "]"
	}
	return a.Addr().String()
}
