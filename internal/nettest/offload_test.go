package nettest

import (
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolGet reads what ethtoolSet wrote.
func ethtoolGet(t *testing.T, n *Namespace, link string, command uint32) uint32 {
	t.Helper()
	value := ethtoolValue{command: command}
	request := ethtoolRequest{data: unsafe.Pointer(&value)}
	copy(request.name[:], link)
	err := n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		if errno != 0 {
			return errno
		}
		return nil
	})
	runtime.KeepAlive(&value)
	if err != nil {
		t.Fatal(err)
	}
	return value.data
}

func TestVethIsWirelike(t *testing.T) {
	a, b := twoHosts(t)
	for name, command := range map[string]uint32{
		"tx checksum": unix.ETHTOOL_GTXCSUM, "tso": unix.ETHTOOL_GTSO, "gso": unix.ETHTOOL_GGSO, "gro": unix.ETHTOOL_GGRO,
	} {
		for _, n := range []*Namespace{a, b} {
			if got := ethtoolGet(t, n, "e0", command); got != 0 {
				t.Errorf("%s is on in %s", name, n.Name())
			}
		}
	}
	wantError(t, a.Wirelike("a-name-that-is-too-long"), "a-name-that-is-too-long")
}

// A megabyte must take as many packets as a wire needs, on the way out as well
// as on the way in.
func TestWirelikePacketsAreSegments(t *testing.T) {
	a, b := twoHosts(t)
	s := ServeForTest(t, b, netip.MustParseAddrPort("10.1.0.2:0"), ServerOptions{Echo: true})
	conns, err := OpenConns(t.Context(), a, s.Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	if err := conns.Exchange(make([]byte, 1<<20), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	const frame = 1514
	for _, n := range []*Namespace{a, b} {
		link, err := n.Netlink().LinkByName("e0")
		if err != nil {
			t.Fatal(err)
		}
		st := link.Attrs().Statistics
		if st.TxBytes > st.TxPackets*frame || st.RxBytes > st.RxPackets*frame {
			t.Errorf("%s sent %d packets with %d bytes and received %d with %d: longer than %d each",
				n.Name(), st.TxPackets, st.TxBytes, st.RxPackets, st.RxBytes, frame)
		}
		if st.TxBytes < 1<<20 {
			t.Errorf("%s sent %d bytes, less than were exchanged", n.Name(), st.TxBytes)
		}
	}
}

// A hook at the sender's egress counts what the wire carries: that is what exact
// counters are compared with.
func TestWirelikePacketsAreSegmentsAtEgressHooks(t *testing.T) {
	Require(t, Program("nft"))
	a, b := twoHosts(t)
	nft(t, a, "add table netdev t", "add chain netdev t out { type filter hook egress device e0 priority 0; }",
		"add rule netdev t out tcp dport 9999 counter")
	s := ServeForTest(t, b, netip.MustParseAddrPort("10.1.0.2:9999"), ServerOptions{})
	conns, err := OpenConns(t.Context(), a, s.Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	const size, segment = 1 << 20, 1448
	if _, err := conns[0].Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all has arrived", func() bool { return s.BytesIn() == size })
	fields := strings.Fields(nft(t, a, "list chain netdev t out"))
	at := slices.Index(fields, "packets")
	if at < 0 {
		t.Fatalf("no counter in %q", fields)
	}
	if packets, err := strconv.Atoi(fields[at+1]); err != nil || packets < size/segment {
		t.Errorf("the hook counted %s packets (%v), want at least %d", fields[at+1], err, size/segment)
	}
}

// nft runs nft commands in a namespace and returns what they print.
func nft(t *testing.T, n *Namespace, commands ...string) string {
	t.Helper()
	program, err := FindProgram("nft")
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.Command(t.Context(), program, strings.Join(commands, "; ")).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q: %v: %s", commands, err, out)
	}
	return string(out)
}
