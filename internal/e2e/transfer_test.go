package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/nettest"
)

// TestStockClients carries files by every stock client through every shape of
// service and both families, and compares what arrived.
func TestStockClients(t *testing.T) {
	nettest.Require(t, nettest.Program("scp"), nettest.Program("sftp"), nettest.Program("rsync"), nettest.Program("git"))
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			w := running(t, s)
			for family, vip := range vips {
				t.Run(family, func(t *testing.T) {
					for name, carry := range map[string]func(*testing.T, *world, netip.AddrPort, string){
						"ssh": bySSH, "scp": bySCP, "sftp": bySFTP, "rsync": byRsync, "git": byGit,
					} {
						t.Run(name, func(t *testing.T) { carry(t, w, vip, t.TempDir()) })
					}
				})
			}
			for name, b := range w.backends() {
				if b.FlowsOpened == 0 {
					t.Logf("backend %s was never chosen", name)
				}
			}
		})
	}
}

const fileSize = 3 << 20

// file makes a file of random bytes.
func file(t *testing.T, dir string) (path string, sum [32]byte) {
	t.Helper()
	data := make([]byte, fileSize)
	rand.Read(data)
	path = filepath.Join(dir, "sent")
	must(t, os.WriteFile(path, data, 0o600))
	return path, sha256.Sum256(data)
}

func same(t *testing.T, path string, sum [32]byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	if sha256.Sum256(data) != sum {
		t.Errorf("%s (%d bytes) is not what was sent", path, len(data))
	}
}

func runCmd(t *testing.T, cmd *nettest.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

func bySSH(t *testing.T, w *world, vip netip.AddrPort, dir string) {
	path, sum := file(t, dir)
	data, err := os.ReadFile(path)
	must(t, err)
	cmd := w.client.SSH(t.Context(), vip, "cat")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	must(t, err)
	if sha256.Sum256(out) != sum {
		t.Errorf("%d bytes came back, not what was sent", len(out))
	}
}

// The servers share the machine's files, so there and back again are two
// copies in one folder.
func bySCP(t *testing.T, w *world, vip netip.AddrPort, dir string) {
	path, sum := file(t, dir)
	there, back := filepath.Join(dir, "there"), filepath.Join(dir, "back")
	runCmd(t, w.client.SCP(t.Context(), vip, path, w.client.Remote(vip, there)))
	same(t, there, sum)
	runCmd(t, w.client.SCP(t.Context(), vip, w.client.Remote(vip, there), back))
	same(t, back, sum)
}

func bySFTP(t *testing.T, w *world, vip netip.AddrPort, dir string) {
	path, sum := file(t, dir)
	there, back := filepath.Join(dir, "there"), filepath.Join(dir, "back")
	runCmd(t, w.client.SFTP(t.Context(), vip, fmt.Sprintf("put %s %s\nget %s %s\n", path, there, there, back)))
	same(t, there, sum)
	same(t, back, sum)
}

func byRsync(t *testing.T, w *world, vip netip.AddrPort, dir string) {
	path, sum := file(t, dir)
	there := filepath.Join(dir, "there")
	runCmd(t, w.Client.Command(t.Context(), "rsync", "-e", w.client.Shell(vip), path, w.client.Remote(vip, there)))
	same(t, there, sum)
}

func byGit(t *testing.T, w *world, vip netip.AddrPort, dir string) {
	path, sum := file(t, dir)
	work, bare, clone := filepath.Join(dir, "work"), filepath.Join(dir, "bare"), filepath.Join(dir, "clone")
	git := func(args ...string) {
		t.Helper()
		cmd := w.Client.Command(t.Context(), "git", args...)
		cmd.Env = append(os.Environ(), "GIT_SSH_COMMAND="+w.client.Shell(vip), "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.org", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.org")
		runCmd(t, cmd)
	}
	git("init", "-q", "-b", "main", work)
	git("init", "-q", "-b", "main", "--bare", bare)
	must(t, os.Rename(path, filepath.Join(work, "file")))
	git("-C", work, "add", "file")
	git("-C", work, "commit", "-q", "-m", "file")
	git("-C", work, "push", "-q", remoteURL(vip, bare), "main")
	git("clone", "-q", remoteURL(vip, bare), clone)
	same(t, filepath.Join(clone, "file"), sum)
}

func remoteURL(vip netip.AddrPort, path string) string {
	return fmt.Sprintf("ssh://root@%s%s", vip, path)
}
