package loader_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest/frame"
	"sluice/loader"
)

// TestForgedEnds: between real stacks, somebody who knows both ends of a
// connection but none of its numbers sends FINs and resets in the client's name.
// The ring names other backends meanwhile, so that only the entry holds it.
func TestForgedEnds(t *testing.T) {
	all := shapes()
	for _, name := range []string{"hide v4", "keep v4", "dsr v4"} {
		for _, flags := range []frame.Flags{frame.RST, frame.RST | frame.ACK, frame.FIN | frame.ACK} {
			t.Run(name+" "+flagName(flags), func(t *testing.T) {
				t.Parallel()
				g := newGateway(t, all[name])
				c, banner := g.dial(t)
				echo(t, c, 5000)
				g.turnRing(t, g.memberOf(t, c))
				for n := range uint32(8) {
					g.forge(t, client(c), flags, n<<29+12345)
				}
				if all[name].Mode.OneWay() {
					g.wantFlowsNow(t, c, flags)
				}
				g.wantRevived(t, c, banner)
				counters, err := g.dp.MemberCounters()
				must(t, err)
				var now uint64
				for _, m := range counters {
					now += m.FlowsOpened + m.FlowsRevived - m.FlowsClosed
				}
				if now != 1 {
					t.Errorf("%d flows are counted as living", now)
				}
			})
		}
	}
}

// wantRevived talks until the flow is seen to live. In nat a forgery that met
// the window takes some bytes to overtake.
func (g *gateway) wantRevived(t *testing.T, c net.Conn, banner string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		echo(t, c, 50_000)
		f, ok := find(t, g.dp, client(c))
		if ok && f.State <= loader.FlowEstablished {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after the forgeries the flow of %s is %+v", banner, f)
		}
	}
}

func flagName(f frame.Flags) string {
	switch f {
	case frame.RST:
		return "RST"
	case frame.RST | frame.ACK:
		return "RST ACK"
	default:
		return "FIN ACK"
	}
}

func (g *gateway) memberOf(t *testing.T, c net.Conn) loader.MemberID {
	t.Helper()
	f, ok := find(t, g.dp, client(c))
	if !ok {
		t.Fatal("the connection has no flow")
	}
	return f.Member
}

// turnRing lets the whole ring name another member than one.
func (g *gateway) turnRing(t *testing.T, than loader.MemberID) {
	t.Helper()
	members, err := g.dp.Members()
	must(t, err)
	ring, err := g.dp.Ring(testService)
	must(t, err)
	for id, m := range members {
		if id == than || m.Service != testService {
			continue
		}
		for i := range loader.RingEntries {
			ring.Set(i, id)
		}
		return
	}
	t.Fatal("there is no other member")
}

// forge sends a segment in the name of a client.
func (g *gateway) forge(t *testing.T, from netip.AddrPort, flags frame.Flags, seq uint32) {
	t.Helper()
	f := frame.Frame{
		SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
		Src: from, Dst: g.listen, Flags: flags, Seq: seq, Ack: seq + 99, Window: 1000,
	}
	b, err := f.Bytes()
	must(t, err)
	must(t, g.Client.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, b[14:], 0, &unix.SockaddrInet4{Addr: g.listen.Addr().As4()})
	}))
}

// wantFlowsNow waits until the forgeries took effect: they must have been there.
func (g *gateway) wantFlowsNow(t *testing.T, c net.Conn, flags frame.Flags) {
	t.Helper()
	want := loader.FlowClosed
	if flags&frame.FIN != 0 {
		want = loader.FlowHalfClosed
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		f, ok := find(t, g.dp, client(c))
		if ok && f.State == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the flow is %+v, want state %d", f, want)
		}
	}
}
