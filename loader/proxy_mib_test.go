package loader_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/nettest"
)

// procNet reads files below /proc/net of a namespace, one after the other.
func procNet(t *testing.T, n *nettest.Namespace, names ...string) string {
	t.Helper()
	var all strings.Builder
	must(t, n.Do(func() error {
		for _, name := range names {
			f, err := os.Open("/proc/thread-self/net/" + name)
			if err != nil {
				return err
			}
			_, err = io.Copy(&all, f)
			f.Close()
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return all.String()
}

// mib is a counter of the kernel's, such as TCPSackRecovery of TcpExt.
func mib(t *testing.T, n *nettest.Namespace, group, name string) uint64 {
	t.Helper()
	var names []string
	for line := range strings.Lines(procNet(t, n, "snmp", "netstat")) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != group+":" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, field := range names {
			if field == name {
				v, err := strconv.ParseUint(fields[i], 10, 64)
				must(t, err)
				return v
			}
		}
		names = nil
	}
	t.Fatalf("the kernel has no counter %s of %s", name, group)
	return 0
}

// mib6 is one of IPv6, such as Icmp6InDestUnreachs.
func mib6(t *testing.T, n *nettest.Namespace, name string) uint64 {
	t.Helper()
	for line := range strings.Lines(procNet(t, n, "snmp6")) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == name {
			v, err := strconv.ParseUint(fields[1], 10, 64)
			must(t, err)
			return v
		}
	}
	t.Fatalf("the kernel has no counter %s", name)
	return 0
}

// States of sockets in /proc/net/tcp.
const (
	tcpTimeWait = "06"
	tcpListen   = "0A"
)

// sockets counts those of a namespace by state, at a local port.
func sockets(t *testing.T, n *nettest.Namespace, port uint16) map[string]int {
	t.Helper()
	out := map[string]int{}
	local := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(procNet(t, n, "tcp", "tcp6")) {
		fields := strings.Fields(line)
		if len(fields) > 3 && strings.HasSuffix(fields[1], local) {
			out[fields[3]]++
		}
	}
	return out
}

// onlyListens waits until a host has no connection at a port.
func onlyListens(t *testing.T, n *nettest.Namespace, at netip.AddrPort) {
	t.Helper()
	eventually(t, "the backend has no socket of the connection left", func() bool {
		s := sockets(t, n, at.Port())
		return len(s) == 1 && s[tcpListen] > 0
	})
}
