package address

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// K18, K19: with one virtual MAC on both gateways a third host need not learn
// anything when the VIPs move, and the switch learns it from the announcement:
// the first datagram after it reaches the new one.
func TestHandOver(t *testing.T) {
	l := newLAN(t)
	var sets [2]*kept
	for i, ns := range l.gw {
		sets[i] = keep(t, ns, samplePlan())
		sets[i].do(sets[i].Prepare)
		answer(t, ns, []string{"a", "b"}[i])
	}
	sets[0].do(sets[0].Take, sets[0].Announce)
	for turn := range 4 {
		here, there := turn%2, 1-turn%2
		for _, vip := range vips {
			if got, want := ask(t, l.host, vip), []string{"a", "b"}[here]; got != want {
				t.Fatalf("turn %d: %s answers for %s, want %s", turn, got, vip, want)
			}
			if got := neighbour(t, l.host, "h0", vip); !bytes.Equal(got, VirtualMAC(51, vip)) {
				t.Errorf("turn %d: the host has %s at %s, want %s", turn, vip, got, VirtualMAC(51, vip))
			}
		}
		sets[here].do(sets[here].Release)
		sets[there].do(sets[there].Take, sets[there].Announce)
	}
}

// A gateway that answers, and asks, on its own behalf must not teach neighbours
// its own MAC for a VIP (A9).
func TestNeighboursLearnTheVirtualMACOnly(t *testing.T) {
	l := newLAN(t)
	s := keep(t, l.gw[0], samplePlan())
	answer(t, l.gw[0], "a")
	s.do(s.Prepare, s.Take)
	physical, err := l.gw[0].MAC(outside)
	must(t, err)
	frames := capture(t, l.sw, "h", physical)
	for _, vip := range vips {
		forget(t, l.gw[0], outside)
		if got := ask(t, l.host, vip); got != "a" {
			t.Errorf("%q answers for %s", got, vip)
		}
	}
	asked := 0
	for _, frame := range frames() {
		if !bytes.Equal(frame[12:14], []byte{8, 6}) {
			continue
		}
		asked++
		if bytes.Equal(frame[28:32], vip4.Addr().AsSlice()) {
			t.Errorf("an ARP packet of the physical MAC has the VIP as sender: %x", frame)
		}
	}
	if asked == 0 {
		t.Error("the gateway never asked for the host: nothing was proved")
	}
}

// forget has a machine know no neighbour.
func forget(t *testing.T, ns *nettest.Namespace, link string) {
	t.Helper()
	index, err := ns.Index(link)
	must(t, err)
	list, err := ns.Netlink().NeighList(index, unix.AF_UNSPEC)
	must(t, err)
	for _, n := range list {
		must(t, ns.Netlink().NeighDel(&n))
	}
}

// A node reaches its own VIPs.
func TestOwnNodeReachesVIPs(t *testing.T) {
	n := gateway(t)
	answer(t, n, "self")
	s := keep(t, n, samplePlan())
	s.do(s.Prepare, s.Take)
	for _, vip := range vips {
		if got := ask(t, n, vip); got != "self" {
			t.Errorf("%q answers for %s", got, vip)
		}
	}
}

// A MAC that the settings give serves both families on one macvlan.
func TestOneMACForBothFamilies(t *testing.T) {
	l := newLAN(t)
	plan := samplePlan()
	mac := net.HardwareAddr{0x02, 0xc0, 0x00, 0x02, 0x03, 0x00}
	for i := range plan.VIPs {
		plan.VIPs[i].MAC = mac
	}
	// What IPv6 adverts begin with (RFC 9568 §5.2.9) is such an address.
	plan.VIPs = append(plan.VIPs, VIP{netip.MustParsePrefix("fe80::3/64"), outside, mac})
	s := keep(t, l.gw[0], plan)
	answer(t, l.gw[0], "a")
	s.do(s.Prepare, s.Take, s.Announce)
	if len(s.places) != 1 || !s.held() {
		t.Errorf("%d macvlans; held: %v", len(s.places), s.held())
	}
	for _, vip := range vips {
		if got := ask(t, l.host, vip); got != "a" {
			t.Errorf("%q answers for %s", got, vip)
		}
		if got := neighbour(t, l.host, "h0", vip); !bytes.Equal(got, mac) {
			t.Errorf("the host has %s at %s, want %s", vip, got, mac)
		}
	}
}

// Without a carrier VIPs are taken all the same, and there when it comes.
func TestTakeWithoutCarrier(t *testing.T) {
	l := newLAN(t)
	s := keep(t, l.gw[0], samplePlan())
	answer(t, l.gw[0], "a")
	s.do(s.Prepare)
	must(t, l.sw.Down("a"))
	s.do(s.Take)
	must(t, l.sw.Up("a"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, l.gw[0].Settled(ctx))
	must(t, l.sw.Settled(ctx))
	if got := s.renew(); len(got) > 0 {
		t.Errorf("Renew repaired %q", got)
	}
	for _, vip := range vips {
		if got := ask(t, l.host, vip); got != "a" {
			t.Errorf("%q answers for %s", got, vip)
		}
	}
}

// What the gateway dials itself comes from its own addresses, which stay.
func TestVIPIsNoSource(t *testing.T) {
	for name, plan := range plans {
		n := gateway(t)
		s := keep(t, n, plan())
		s.do(s.Prepare, s.Take)
		for to, want := range map[string]string{"192.0.2.2": "192.0.2.1", "2001:db8::2": "2001:db8::1"} {
			must(t, n.Do(func() error {
				conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(to), 9).String())
				if err != nil {
					return err
				}
				defer conn.Close()
				if got := conn.LocalAddr().(*net.UDPAddr).IP.String(); got != want {
					t.Errorf("%s: %s is dialled from %s, want %s", name, to, got, want)
				}
				return nil
			}))
		}
	}
}

// D9: a native XDP program on the physical interface runs with a macvlan above it.
func TestXDPNativeBelowMacvlan(t *testing.T) {
	nettest.Require(t, nettest.BPF)
	l := newLAN(t)
	must(t, l.gw[0].AttachPass(outside))
	s := keep(t, l.gw[0], samplePlan())
	answer(t, l.gw[0], "a")
	s.do(s.Prepare, s.Take, s.Announce)
	for _, vip := range vips {
		if got := ask(t, l.host, vip); got != "a" {
			t.Errorf("%q answers for %s", got, vip)
		}
	}
}

// Without virtual MACs the host learns the physical one, by the announcement
// alone: it knew the VIPs elsewhere.
func TestHandOverWithoutVirtualMAC(t *testing.T) {
	l := newLAN(t)
	var sets [2]*kept
	for i, ns := range l.gw {
		sets[i] = keep(t, ns, barePlan())
		sets[i].do(sets[i].Prepare)
		answer(t, ns, []string{"a", "b"}[i])
	}
	for turn := range 4 {
		here := turn % 2
		sets[here].do(sets[here].Take, sets[here].Announce)
		mac, err := l.gw[here].MAC(outside)
		must(t, err)
		for _, vip := range vips {
			if got, want := ask(t, l.host, vip), []string{"a", "b"}[here]; got != want {
				t.Fatalf("turn %d: %s answers for %s, want %s", turn, got, vip, want)
			}
			if got := neighbour(t, l.host, "h0", vip); !bytes.Equal(got, mac) {
				t.Errorf("turn %d: the host has %s at %s, want %s", turn, vip, got, mac)
			}
		}
		sets[here].do(sets[here].Release)
	}
}

// Both gateways are active after a split: each must still hear, on its physical
// interface, what the other sends from the virtual MAC that it has itself.
func TestTwoActivesHearEachOther(t *testing.T) {
	l := newLAN(t)
	for _, ns := range l.gw {
		s := keep(t, ns, samplePlan())
		s.do(s.Prepare, s.Take)
	}
	const vrrp = 112
	fd := -1
	must(t, l.gw[0].Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, vrrp); err != nil {
			return err
		}
		return unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, outside)
	}))
	defer unix.Close(fd)
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	index, err := l.gw[0].Index(outside)
	must(t, err)
	group := [4]byte{224, 0, 0, 18}
	must(t, unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group, Ifindex: int32(index)}))
	advert := []byte{
		0x01, 0x00, 0x5e, 0, 0, 18, 0, 0, 0x5e, 0, 1, 51, 8, 0,
		0x45, 0xc0, 0, 24, 0, 0, 0, 0, 255, vrrp, 0x17, 0xbc, 192, 0, 2, 2, 224, 0, 0, 18,
		'p', 'e', 'e', 'r',
	}
	sendRaw(t, l.gw[1], advert)
	b := make([]byte, 64)
	n, err := unix.Read(fd, b)
	if err != nil || !bytes.HasSuffix(b[:max(n, 0)], []byte("peer")) {
		t.Fatalf("the physical interface heard %x, %v", b[:max(n, 0)], err)
	}
}

func sendRaw(t *testing.T, ns *nettest.Namespace, frame []byte) {
	t.Helper()
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		if i != 24 {
			sum += uint32(frame[i])<<8 | uint32(frame[i+1])
		}
	}
	sum = sum&0xffff + sum>>16
	frame[24], frame[25] = ^byte(sum>>8), ^byte(sum)
	index, err := ns.Index(outside)
	must(t, err)
	host := openHost(t, ns)
	must(t, host.sender.Send(index, frame))
}

// IPv6 goes away between Prepare and Take: that is an error that names the VIP and
// what to look at, IPv4 works, and all is well again with the next try once it is back.
func TestTakeWithoutIPv6(t *testing.T) {
	n := gateway(t)
	s := keep(t, n, samplePlan())
	s.do(s.Prepare)
	must(t, n.SetSysctl("net/ipv6/conf/all/disable_ipv6", "1"))
	err := n.Do(s.Take)
	if err == nil || !strings.Contains(err.Error(), vip6.Addr().String()) || !strings.Contains(err.Error(), "is IPv6 disabled there?") {
		t.Errorf("take: %v", err)
	}
	if sc := see(t, n); !hasAnywhere(sc, vip4.Addr()) || hasAnywhere(sc, vip6.Addr()) {
		t.Errorf("it has %v", sc.addrs)
	}
	s.do(s.Release)
	must(t, n.SetSysctl("net/ipv6/conf/all/disable_ipv6", "0"))
	s.do(s.Prepare, s.Take)
	if !s.held() {
		t.Error("not held once IPv6 is back")
	}
}
