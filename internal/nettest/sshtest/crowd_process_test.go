package sshtest

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
)

// remote is a server and a crowd of its clients, each in a process and a
// namespace.
type remote struct {
	cluster *nettest.Cluster
	server  *RemoteServer
	crowd   *RemoteCrowd
}

func newRemote(t testing.TB, o CrowdOptions) remote {
	t.Helper()
	c := nettest.ClusterForTest(t, nettest.ClusterOptions{Backends: 1, Direct: true})
	// Past the gateways, which have nothing to do here.
	if err := c.Client.SetRoute(netip.MustParsePrefix("10.0.2.0/24"), c.RouterAddr.V4); err != nil {
		t.Fatal(err)
	}
	host, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	user, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(c.Backends[0].Addr.V4, 22)
	s, err := StartRemoteServer(t.Context(), c.Backends[0].Namespace, ServerOptions{
		Addrs: []netip.AddrPort{at}, HostKey: host, Authorized: []ssh.PublicKey{user.Public()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test may have ended it
	crowd, err := StartCrowd(t.Context(), c.Client, RemoteOptions{CrowdOptions: o, Addr: at, HostKey: host.Public(), UserKey: user})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := crowd.Close(); err != nil {
			t.Error(err)
		}
	})
	return remote{c, s, crowd}
}

// Sessions between two processes outlive a silence, and are lost with the
// server.
func TestRemoteCrowd(t *testing.T) {
	r := newRemote(t, CrowdOptions{Sessions: 20, Moving: 10, Every: 5 * time.Millisecond})
	before, err := r.crowd.Moved()
	if err != nil {
		t.Fatal(err)
	}
	for moved := before; moved == before; {
		if moved, err = r.crowd.Moved(); err != nil {
			t.Fatal(err)
		}
	}
	lost, err := r.crowd.Answer(30 * time.Second)
	if err != nil || len(lost) != 0 {
		t.Fatalf("lost %q (%v)", lost, err)
	}
	p, err := os.FindProcess(r.server.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Close(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the server ended by %v", err)
	}
	lost, err = r.crowd.Answer(30 * time.Second)
	if err != nil || len(lost) != 20 {
		t.Errorf("with the server %d of 20 are lost (%v)", len(lost), err)
	}
}

func TestRemoteCrowdSaysWhyItCannot(t *testing.T) {
	n := nettest.ForTest(t)
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	_, err = StartCrowd(t.Context(), n, RemoteOptions{
		CrowdOptions: CrowdOptions{Sessions: 2}, Addr: local4, HostKey: key.Public(), UserKey: key,
	})
	if err == nil || !strings.Contains(err.Error(), "session 0") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("without a server: %v", err)
	}
}

// BenchmarkRemoteCrowd says what 2 000 sessions cost before anything is tested
// with them.
func BenchmarkRemoteCrowd(b *testing.B) {
	const sessions = 2000
	for b.Loop() {
		began := time.Now()
		r := newRemote(b, CrowdOptions{Sessions: sessions, Moving: sessions / 2, Every: 2 * time.Second, Block: 4 << 10})
		b.ReportMetric(time.Since(began).Seconds(), "s/open")
		began = time.Now()
		lost, err := r.crowd.Answer(time.Minute)
		if err != nil || len(lost) != 0 {
			b.Fatalf("lost %q (%v)", lost, err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/answer")
		b.ReportMetric(resident(b, r.crowd.PID()), "MB/clients")
		b.ReportMetric(resident(b, r.server.PID()), "MB/server")
	}
}

// resident is a process's memory in megabytes.
func resident(t testing.TB, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / 1e6
}
