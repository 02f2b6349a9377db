package health

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// newOpenSSHEnv names a folder into which Debian's openssh-server 9.8 or later
// was unpacked, such as that of bookworm-backports by "dpkg -x". Debian 12's
// own is older and keeps no accounts.
const newOpenSSHEnv = "SLUICE_TEST_OPENSSH"

// openSSH is an installation of OpenSSH's server.
type openSSH struct {
	program string
	config  []string
	version string // "OpenSSH_9.2p1"
}

var versionPattern = regexp.MustCompile(`OpenSSH_[0-9.]+(p[0-9]+)?`)

// openSSHAt looks at a program, whose helpers are below root.
func openSSHAt(program, root string) (openSSH, error) {
	out, err := exec.Command(program, "-V").CombinedOutput()
	s := openSSH{program: program, version: versionPattern.FindString(string(out))}
	if s.version == "" {
		return s, fmt.Errorf("%s -V: %q (%v)", program, out, err)
	}
	if root != "" {
		for key, name := range map[string]string{"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"} {
			path := filepath.Join(root, "usr/lib/openssh", name)
			if _, err := os.Stat(path); err == nil { // sshd-auth came with 10.0
				s.config = append(s.config, key+" "+path)
			}
		}
	}
	return s, nil
}

func systemOpenSSH(t *testing.T) openSSH {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Program("sshd"))
	program, err := nettest.FindProgram("sshd")
	must(t, err)
	s, err := openSSHAt(program, "")
	must(t, err)
	return s
}

// penalisingOpenSSH is one that keeps accounts, or the reason to skip.
func penalisingOpenSSH(t *testing.T) openSSH {
	t.Helper()
	if root := os.Getenv(newOpenSSHEnv); root != "" {
		s, err := openSSHAt(filepath.Join(root, "usr/sbin/sshd"), root)
		must(t, err)
		return s
	}
	s := systemOpenSSH(t)
	if penalises("SSH-2.0-" + s.version) {
		return s
	}
	reason := fmt.Sprintf("needs OpenSSH 9.8 or later, installed is %s; unpack one and name its folder in %s", s.version, newOpenSSHEnv)
	if os.Getenv(nettest.RequireEnv) == "all" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return openSSH{}
}

// daemon is a running sshd with Debian's defaults, as far as they matter here.
type daemon struct {
	at  netip.AddrPort
	log string
}

func (s openSSH) start(t *testing.T) *daemon {
	t.Helper()
	dir := t.TempDir()
	d := &daemon{at: freePort(t), log: filepath.Join(dir, "log")}
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	config := append([]string{
		"ListenAddress " + d.at.String(), "HostKey " + key, "PidFile none", "UsePAM no", "LogLevel VERBOSE",
	}, s.config...)
	file := filepath.Join(dir, "config")
	must(t, os.WriteFile(file, []byte(strings.Join(config, "\n")+"\n"), 0o600))
	must(t, os.MkdirAll("/run/sshd", 0o755)) // compiled in
	cmd := exec.Command(s.program, "-D", "-f", file, "-E", d.log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	d.awaitLog(t, "Server listening", 1)
	return d
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func (d *daemon) read(t *testing.T) []byte {
	t.Helper()
	log, err := os.ReadFile(d.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return log
}

// awaitLog waits until the log holds text count times.
func (d *daemon) awaitLog(t *testing.T, text string, count int) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for bytes.Count(d.read(t), []byte(text)) < count {
		if time.Now().After(deadline) {
			t.Fatalf("sshd did not log %q %d times; it logged:\n%s", text, count, d.read(t))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Our goodbye is understood by real servers, and none of their complaints is in
// the log: those are what fail2ban counts.
func TestOpenSSHLogsNoComplaint(t *testing.T) {
	for name, find := range map[string]func(*testing.T) openSSH{"system": systemOpenSSH, "penalising": penalisingOpenSSH} {
		t.Run(name, func(t *testing.T) {
			s := find(t)
			d := s.start(t)
			const checks = 5
			for range checks {
				out := Probe(t.Context(), direct(d.at, Settings{Timeout: 10 * time.Second}))
				if out.Err != nil || !strings.HasPrefix(out.Identification, "SSH-2.0-OpenSSH_") {
					t.Fatalf("outcome = %+v", out)
				}
			}
			d.awaitLog(t, ":11: sluice health check", checks)
			d.awaitLog(t, "Disconnected from 127.0.0.1", checks)
			for _, complaint := range []string{"kex_exchange_identification", "error:", "Bad packet", "Connection closed by", "Connection reset by"} {
				if bytes.Contains(d.read(t), []byte(complaint)) {
					t.Errorf("%s logged %q:\n%s", s.version, complaint, d.read(t))
				}
			}
		})
	}
}

// At the interval that gets others locked out we stay in, with the server's
// default penalties.
func TestOpenSSHDoesNotPenalise(t *testing.T) {
	t.Parallel()
	s := penalisingOpenSSH(t)
	t.Run("unpaced checks are punished", func(t *testing.T) {
		d := s.start(t)
		deadline := time.Now().Add(20 * time.Second)
		for {
			out := Probe(t.Context(), direct(d.at, Settings{Timeout: 10 * time.Second}))
			if out.Err != nil {
				if !strings.Contains(out.Err.Error(), "PerSourcePenaltyExemptList") {
					t.Errorf("locked out with %v, want a hint at the exemption", out.Err)
				}
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s did not mind; this test shows nothing", s.version)
			}
		}
	})
	t.Run("a checker is not", func(t *testing.T) {
		const interval, length = 250 * time.Millisecond, 12 * time.Second
		d := s.start(t)
		down := make(chan Change, 1)
		c := New(Options{Notify: func(c Change) {
			if c.To == Down {
				down <- c
			}
		}})
		settings := Settings{Interval: interval, Timeout: 10 * time.Second, Fall: 1}
		c.Set([]Target{direct(d.at, settings)})
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		c.Run(ctx)
		select {
		case change := <-down:
			t.Errorf("down: %s", change.Reason)
		default:
		}
		log := d.read(t)
		checks := bytes.Count(log, []byte("sluice health check"))
		if bytes.Contains(log, []byte("activating")) || checks < 10 || checks > 17 {
			t.Errorf("%d checks in %v, want some 15 and no penalty; sshd logged:\n%s", checks, length, log)
		}
	})
}
