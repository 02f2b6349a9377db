package socket

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a machine with the link lan0, whose other end is not looked at.
func rig(t *testing.T) (*nettest.Namespace, Link) {
	t.Helper()
	n, far := nettest.ForTest(t), nettest.ForTest(t)
	must(t, nettest.Veth(n, "lan0", far, "lan0"))
	must(t, n.Settled(t.Context()))
	var link Link
	must(t, n.Do(func() (err error) {
		link, err = FindLink("lan0")
		return err
	}))
	return n, link
}

func watch(t *testing.T, n *nettest.Namespace, link Link, source netip.Addr, renew func() error) *Watch {
	t.Helper()
	var w *Watch
	must(t, n.Do(func() (err error) {
		w, err = NewWatch(link, source, renew)
		return err
	}))
	t.Cleanup(func() { must(t, w.Close()) })
	return w
}

// until waits for an error that is such, or for none.
func (w *Watch) until(t *testing.T, want error) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !errors.Is(w.Err(), want); {
		if time.Now().After(deadline) {
			t.Fatalf("the watch says %v, want %v", w.Err(), want)
		}
		time.Sleep(time.Millisecond)
	}
}

// A port that leaves a bridge is told of by the message that tells of links
// deleted.
func TestLeavingABridge(t *testing.T) {
	n, link := rig(t)
	w := watch(t, n, link, netip.Addr{}, nil)
	must(t, n.Bridge("br0"))
	must(t, n.Plug("br0", "lan0"))
	port, err := n.Netlink().LinkByName("lan0")
	must(t, err)
	must(t, n.Netlink().LinkSetNoMaster(port))
	must(t, n.Down("lan0"))
	w.until(t, unix.ENETDOWN)
	must(t, n.Up("lan0"))
	w.until(t, nil)

	message := func(family byte) []byte {
		b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		binary.NativeEndian.PutUint16(b[4:], unix.RTM_DELLINK)
		b[unix.SizeofNlMsghdr] = family
		binary.NativeEndian.PutUint32(b[unix.SizeofNlMsghdr+4:], uint32(link.Index))
		return b
	}
	w.hear(message(unix.AF_BRIDGE))
	if err := w.Err(); err != nil {
		t.Errorf("after it has left a bridge: %v", err)
	}
	w.hear(message(unix.AF_UNSPEC))
	if err := w.Err(); !errors.Is(err, ErrReopen) {
		t.Errorf("after it was deleted: %v", err)
	}
}

// What is told of other interfaces and addresses changes nothing.
func TestOtherLinksAndAddresses(t *testing.T) {
	n, link := rig(t)
	own := netip.MustParsePrefix("10.9.0.1/24")
	must(t, n.AddAddr("lan0", own))
	w := watch(t, n, link, own.Addr(), nil)
	must(t, n.Netlink().LinkAdd(&netlink.Macvlan{
		LinkAttrs: netlink.LinkAttrs{Name: "vip0", ParentIndex: link.Index}, Mode: netlink.MACVLAN_MODE_BRIDGE,
	}))
	must(t, n.Up("vip0"))
	vip := netip.MustParsePrefix("10.9.0.9/32")
	for _, name := range []string{"lan0", "vip0"} {
		must(t, n.AddAddr(name, vip))
		must(t, n.DelAddr(name, vip))
	}
	must(t, n.AddAddr("vip0", own))
	must(t, n.DelAddr("vip0", own))
	other, err := n.Netlink().LinkByName("vip0")
	must(t, err)
	must(t, n.Netlink().LinkDel(other))
	changes := 0
	w.each(t, n, func(err error) {
		if changes++; err != nil && !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("the watch says %v", err)
		}
	})
	if changes == 0 {
		t.Error("nothing was seen")
	}
}

// each looks at the watch until it has seen all that came before a change of the
// link, which it makes.
func (w *Watch) each(t *testing.T, n *nettest.Namespace, see func(error)) {
	t.Helper()
	see(w.Err())
	must(t, n.SetMTU("lan0", 1400))
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		see(w.Err())
		w.mu.Lock()
		mtu := w.state.mtu
		w.mu.Unlock()
		if mtu == 1400 {
			see(w.Err())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the change was not seen")
		}
	}
}

// Lost messages are made up for by a look.
func TestLostMessages(t *testing.T) {
	n, link := rig(t)
	own := netip.MustParsePrefix("10.9.0.1/24")
	must(t, n.AddAddr("lan0", own))
	w := watch(t, n, link, own.Addr(), nil)
	small := Int("SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 0)
	must(t, w.events.Set(small))
	// Held, so that nobody follows.
	w.mu.Lock()
	for range 200 {
		must(t, n.SetMTU("lan0", 1400))
		must(t, n.SetMTU("lan0", 1500))
	}
	must(t, n.DelAddr("lan0", own))
	w.mu.Unlock()
	w.until(t, unix.EADDRNOTAVAIL)
}

// Groups are joined again after a change of the MTU, until it works.
func TestRenewIsTriedAgain(t *testing.T) {
	n, link := rig(t)
	refused := errors.New("not yet")
	calls := 0
	w := watch(t, n, link, netip.Addr{}, func() error {
		if calls++; calls < 3 {
			return refused
		}
		return nil
	})
	must(t, n.SetMTU("lan0", 1400))
	w.until(t, refused)
	w.until(t, ErrReopen)
	for i := range 5 {
		must(t, n.AddAddr("lan0", netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}), 24)))
	}
	w.until(t, nil)
	if calls != 3 {
		t.Errorf("it was tried %d times", calls)
	}
}

func TestClosedSocket(t *testing.T) {
	n, link := rig(t)
	var s *Socket
	must(t, n.Do(func() (err error) {
		s, err = Open(Kind{Domain: unix.AF_INET, Type: unix.SOCK_DGRAM}, link)
		return err
	}))
	if _, err := s.TryReceive(make([]byte, 10)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("with nothing there: %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := s.Receive(make([]byte, 10))
		waiting <- err
	}()
	must(t, s.Close())
	if err := <-waiting; !errors.Is(err, os.ErrClosed) {
		t.Errorf("who waits is told %v", err)
	}
	_, err := s.TryReceive(nil)
	for _, err := range []error{err, s.Send(nil, &unix.SockaddrInet4{}), s.Set(Priority())} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
	}
}

func TestPickPrimary(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		want  string
	}{
		{nil, "invalid IP"},
		{[]string{"10.0.0.1/24", "10.0.0.2/24"}, "10.0.0.1"},
		{[]string{"10.0.0.9/32", "10.0.0.1/24"}, "10.0.0.1"},
		{[]string{"10.0.0.9/32", "10.0.0.8/32"}, "10.0.0.9"},
		{[]string{"fd00::1/64", "fe80::1/64"}, "fe80::1"},
		{[]string{"fe80::100/128", "fe80::1/64"}, "fe80::1"},
		{[]string{"fd00::1/64"}, "invalid IP"},
	} {
		var addrs []netip.Prefix
		for _, a := range c.addrs {
			addrs = append(addrs, netip.MustParsePrefix(a))
		}
		if got := pickPrimary(addrs); got.String() != c.want {
			t.Errorf("of %v it is %s, want %s", c.addrs, got, c.want)
		}
	}
}
