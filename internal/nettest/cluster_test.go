package nettest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reaches says whether a packet gets from n to an address and an answer back:
// nobody listens there, and who has the address says so.
func reaches(t *testing.T, n *Namespace, to netip.Addr, within time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	conn, err := n.Dial(ctx, netip.AddrPortFrom(to, 7))
	if err == nil {
		conn.Close()
		t.Fatalf("somebody listens at %s port 7", to)
	}
	return !errors.Is(err, context.DeadlineExceeded) && errorIs(err, unix.ECONNREFUSED)
}

// errorIs looks through messages too: what nettest returns does not wrap.
func errorIs(err error, want unix.Errno) bool {
	return errors.Is(err, want) || contains(err.Error(), want.Error())
}

func TestClusterIsWired(t *testing.T) {
	for _, gateways := range []int{2, 3} {
		c := ClusterForTest(t, ClusterOptions{Gateways: gateways})
		if len(c.Gateways) != gateways || len(c.Backends) != 3 {
			t.Fatalf("%d gateways, %d backends", len(c.Gateways), len(c.Backends))
		}
		type way struct {
			from *Namespace
			to   Pair
		}
		var ways []way
		for i, g := range c.Gateways {
			ways = append(ways, way{c.Client, g.Ext}, way{g.Namespace, c.Beyond}, way{g.Namespace, c.ClientAddr})
			for _, b := range c.Backends {
				ways = append(ways, way{g.Namespace, b.Addr}, way{b.Namespace, g.Int})
			}
			for j, other := range c.Gateways {
				if i != j {
					ways = append(ways, way{g.Namespace, other.Heartbeat}, way{g.Namespace, other.Ext}, way{g.Namespace, other.Int})
				}
			}
		}
		for _, w := range ways {
			for _, to := range both(w.to) {
				if !reaches(t, w.from, to, 5*time.Second) {
					t.Errorf("%d gateways: %s does not reach %s", gateways, w.from.Name(), to)
				}
			}
		}
	}
}

// The plan is that of the seed's example, and the heartbeat peers differ in
// their last bit.
func TestClusterAddresses(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Gateways: 3})
	for i, want := range []string{
		"192.0.2.1 10.0.2.1 169.254.1.1", "192.0.2.2 10.0.2.2 169.254.1.0", "192.0.2.4 10.0.2.4 169.254.1.2",
	} {
		g := c.Gateways[i]
		if got := g.Ext.V4.String() + " " + g.Int.V4.String() + " " + g.Heartbeat.V4.String(); got != want {
			t.Errorf("%s has %s, want %s", g.Label, got, want)
		}
	}
	a, b := c.Gateways[0].Heartbeat.V6.As16(), c.Gateways[1].Heartbeat.V6.As16()
	if a[15]^b[15] != 1 {
		t.Errorf("heartbeat addresses %v and %v do not differ in the last bit alone", a, b)
	}
	if c.VIP.V4.String() != "192.0.2.3" || c.InsideVIP.V4.String() != "10.0.2.3" || c.Backends[0].Addr.V4.String() != "10.0.2.11" {
		t.Errorf("VIPs %v and %v, first backend %v", c.VIP, c.InsideVIP, c.Backends[0].Addr)
	}
}

// Who holds the VIP is the way of the backends' replies, and what the client
// reaches.
func TestClusterFollowsTheVIP(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Backends: 1})
	g := c.Gateways[1]
	for _, vip := range both(c.InsideVIP) {
		if err := g.AddAddr(InsideLink, single(vip)); err != nil {
			t.Fatal(err)
		}
	}
	for _, vip := range c.VIPs() {
		if err := g.AddAddr(OutsideLink, single(vip)); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range both(c.Backends[0].Addr) {
		if !reaches(t, c.Client, to, 5*time.Second) {
			t.Errorf("the client does not reach %s through the VIP", to)
		}
	}
}

func TestClusterDSR(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Backends: 1, DSR: true})
	b := c.Backends[0].Namespace
	if hop := nextHop(t, b, c.ClientAddr.V4); hop != "10.0.2.254" {
		t.Errorf("the backend answers the client through %s", hop)
	}
	if hop := nextHop(t, b, c.VIP.V4); hop != "direct" {
		t.Errorf("the backend's way to the VIP is %s", hop)
	}
	// The client's own way to the backend is the VIP, which nobody holds.
	for _, to := range both(c.ClientAddr) {
		way := newPipe(t, b, c.Backends[0].Addr.Like(to), c.Client, to)
		if got := way.carries(t, "past the gateways"); got != "a>b" {
			t.Errorf("between backend and %s datagrams go %q", to, got)
		}
	}
}

func TestClusterRefuses(t *testing.T) {
	for _, o := range []ClusterOptions{{Gateways: 1}, {Gateways: 4}, {Backends: 201}, {Backends: -1}} {
		if _, err := NewCluster(o); err == nil {
			t.Errorf("made a cluster of %+v", o)
		}
	}
}
