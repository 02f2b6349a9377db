package segment

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestPeerOf(t *testing.T) {
	for _, c := range []struct{ addr, peer string }{
		{"169.254.1.0", "169.254.1.1"},
		{"169.254.1.1", "169.254.1.0"},
		{"10.0.0.254", "10.0.0.255"},
		{"10.0.0.255", "10.0.0.254"},
		{"fd00::", "fd00::1"},
		{"fd00::1", "fd00::"},
		{"fe80::ffff%hb0", "fe80::fffe%hb0"},
		{"fe80::fffe%hb0", "fe80::ffff%hb0"},
	} {
		if got := PeerOf(netip.MustParseAddr(c.addr)); got.String() != c.peer {
			t.Errorf("the peer of %s is %s, want %s", c.addr, got, c.peer)
		}
	}
	if got := PeerOf(netip.Addr{}); got.IsValid() {
		t.Errorf("no address has the peer %s", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Interface: "lo", Family: 4, Receive: func(Packet) {}}
	addr := netip.MustParseAddr
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Family = 5 }, "address family 5"},
		{func(o *Options) { o.Receive = nil }, "Receive is missing"},
		{func(o *Options) { o.TTL = 256 }, "TTL 256"},
		{func(o *Options) { o.TTL = -1 }, "TTL -1"},
		{func(o *Options) { o.MAC = net.HardwareAddr{1, 2, 3} }, "MAC 01:02:03"},
		{func(o *Options) { o.MAC = net.HardwareAddr{1, 0, 0x5e, 0, 0, 0x12} }, "no group's"},
		{func(o *Options) { o.Source = addr("fd00::1") }, "source fd00::1"},
		{func(o *Options) { o.Source = addr("224.0.0.18") }, "not one machine's"},
		{func(o *Options) { o.Source = addr("0.0.0.0") }, "not one machine's"},
		{func(o *Options) { o.Peers = []netip.Addr{addr("fd00::1")} }, "peer fd00::1"},
		{func(o *Options) { o.Peers = []netip.Addr{{}} }, "not one machine's"},
		{func(o *Options) { o.Peers = []netip.Addr{addr("255.255.255.255")} }, "not one machine's"},
		{func(o *Options) { o.Peers = []netip.Addr{addr("10.0.0.1"), addr("10.0.0.1")} }, "a peer already"},
		{func(o *Options) { o.Source, o.Peers = addr("10.0.0.1"), []netip.Addr{addr("10.0.0.1")} }, "our own address"},
		{func(o *Options) { o.Family, o.Peers = 6, []netip.Addr{addr("fe80::1%eth9")} }, `"eth9"`},
		{func(o *Options) { o.Interface = "no-such" }, `find interface "no-such"`},
		{func(o *Options) { o.Interface = "" }, "no name is given"},
		{func(o *Options) { o.Source = addr("127.0.0.1") }, "not Ethernet's"},
	} {
		o := good
		c.change(&o)
		s, err := Open(o)
		if err == nil {
			s.Close()
			t.Errorf("no error; want %q", c.want)
		} else if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "open segment on interface") {
			t.Errorf("error %q; want %q", err, c.want)
		}
	}
}

func TestHeartbeatOptionsAreChecked(t *testing.T) {
	at := netip.MustParseAddrPort
	good := HeartbeatOptions{Interface: "lo", Addr: at("127.0.0.2:8021"), Peers: []netip.AddrPort{at("127.0.0.3:8021")}, Receive: func(Datagram) {}}
	for _, c := range []struct {
		change func(*HeartbeatOptions)
		want   string
	}{
		{func(o *HeartbeatOptions) { o.Addr = at("0.0.0.0:8021") }, "listen everywhere"},
		{func(o *HeartbeatOptions) { o.Addr = at("[::]:8021") }, "listen everywhere"},
		{func(o *HeartbeatOptions) { o.Addr = at("[::ffff:0.0.0.0]:8021") }, "listen everywhere"},
		{func(o *HeartbeatOptions) { o.Addr = netip.AddrPort{} }, "not one machine's"},
		{func(o *HeartbeatOptions) { o.Addr = at("224.0.0.1:8021") }, "not one machine's"},
		{func(o *HeartbeatOptions) { o.Addr = at("127.0.0.2:0") }, "port 0"},
		{func(o *HeartbeatOptions) { o.Addr = at("[fe80::1%hb9]:8021") }, `"hb9"`},
		{func(o *HeartbeatOptions) { o.Peers = nil }, "no peer is given"},
		{func(o *HeartbeatOptions) { o.Peers = []netip.AddrPort{at("[fd00::1]:8021")} }, "not of the family"},
		{func(o *HeartbeatOptions) { o.Peers = []netip.AddrPort{at("127.0.0.3:0")} }, "port 0"},
		{func(o *HeartbeatOptions) { o.Peers = []netip.AddrPort{o.Addr} }, "our own address"},
		{func(o *HeartbeatOptions) { o.Peers = append(o.Peers, o.Peers[0]) }, "a peer already"},
		{func(o *HeartbeatOptions) { o.Receive = nil }, "Receive is missing"},
		{func(o *HeartbeatOptions) { o.Interface = "no-such" }, `find interface "no-such"`},
	} {
		o := good
		c.change(&o)
		h, err := OpenHeartbeat(o)
		if err == nil {
			h.Close()
			t.Errorf("no error; want %q", c.want)
		} else if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "open heartbeat on interface") {
			t.Errorf("error %q; want %q", err, c.want)
		}
	}
}
