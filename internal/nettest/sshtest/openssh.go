package sshtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// privSepDir is where sshd locks its unprivileged half in; it is compiled in and
// usually made when the system's own sshd starts. It stays: it is empty, and
// another sshd may be using it.
const privSepDir = "/run/sshd"

// startWithin is how long sshd may take to answer on a loaded machine.
const startWithin = 15 * time.Second

// startOpenSSH says why sshd does not start by quoting it.
func startOpenSSH(ctx context.Context, n *nettest.Namespace, o ServerOptions) (*Server, error) {
	config, err := o.write()
	if err != nil {
		return nil, err
	}
	program, err := nettest.FindProgram("sshd")
	if err != nil {
		return nil, err
	}
	d, err := launch(n, program, config, filepath.Join(o.Dir, "sshd.log"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	s := &Server{hostKey: o.HostKey, stop: d.stop}
	for _, addr := range o.Addrs {
		s.software, err = awaitBanner(ctx, n, reachable(addr), d.done)
		if err != nil {
			err = fmt.Errorf("%s on %s: %v%s", program, addr, err, d.lastWords())
			return nil, errors.Join(err, d.stop())
		}
	}
	return s, nil
}

// write puts the files of the server into its directory and returns the name of
// its configuration.
func (o ServerOptions) write() (string, error) {
	if err := os.MkdirAll(privSepDir, 0o755); err != nil {
		return "", err
	}
	if err := o.HostKey.write(filepath.Join(o.Dir, "host_key")); err != nil {
		return "", err
	}
	var authorized bytes.Buffer
	for _, key := range o.Authorized {
		authorized.Write(ssh.MarshalAuthorizedKey(key))
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "authorized_keys"), authorized.Bytes(), 0o600); err != nil {
		return "", err
	}
	config := filepath.Join(o.Dir, "sshd_config")
	return config, os.WriteFile(config, []byte(o.config()), 0o600)
}

// config is the server's sshd_config. The first value of a keyword wins.
func (o ServerOptions) config() string {
	// Unreadable means that we are not root, and fail at something else.
	shadow, _ := os.ReadFile("/etc/shadow")
	lines := append([]string{}, o.Config...)
	for _, a := range o.Addrs {
		lines = append(lines, "ListenAddress "+a.String())
	}
	return strings.Join(append(lines,
		"HostKey "+filepath.Join(o.Dir, "host_key"),
		"PidFile "+filepath.Join(o.Dir, "sshd.pid"),
		"AuthorizedKeysFile "+filepath.Join(o.Dir, "authorized_keys"),
		"SetEnv "+BackendEnv+"="+o.Name,
		// The directory may lie below /tmp, which is anybody's to write.
		"StrictModes no",
		"PermitRootLogin prohibit-password",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UsePAM "+usePAM(string(shadow)),
		"UseDNS no",
		"PrintMotd no",
		"PrintLastLog no",
		"Subsystem sftp internal-sftp",
		// The default drops connections at random from the tenth handshake on.
		"MaxStartups 10000",
		"MaxSessions 1000",
	), "\n") + "\n"
}

// usePAM is "no" where it can be: PAM would start a system session for each
// login. Where root's password is locked, by "!" in /etc/shadow, sshd lets root
// in through PAM only, with a key too.
func usePAM(shadow string) string {
	if strings.Contains("\n"+shadow, "\nroot:!") {
		return "yes"
	}
	return "no"
}

// reachable is the address to dial for one that is listened on.
func reachable(a netip.AddrPort) netip.AddrPort {
	switch {
	case a.Addr() == netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
	case a.Addr() == netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
	default:
		return a
	}
}

// daemon is a running sshd.
type daemon struct {
	cmd  *nettest.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// launch starts sshd in the foreground, by its absolute path: it executes itself
// again for every connection.
func launch(n *nettest.Namespace, program, config, log string) (*daemon, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd := n.Command(context.Background(), program, "-D", "-e", "-f", config)
	cmd.Stderr = file
	// Out of reach of a Ctrl-C that is meant for the program that started us.
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		// How it ended does not matter; that it did, and its log, do.
		_ = cmd.Wait()
	}()
	return d, nil
}

// stop ends the process that listens, not those of its sessions.
func (d *daemon) stop() error {
	err := d.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop sshd: %v", err)
	}
	<-d.done
	return nil
}

// lastWords is the end of the log, for the error that says why it did not start.
func (d *daemon) lastWords() string {
	const enough = 500
	log, err := os.ReadFile(d.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "; its log: " + err.Error()
	}
	log = bytes.TrimSpace(log)
	if len(log) == 0 {
		return ""
	}
	return "; it said: " + string(log[max(0, len(log)-enough):])
}
