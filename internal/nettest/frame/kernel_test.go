package frame

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// wire is a veth between a raw socket of ours and a real TCP/IP stack, so that
// what this package builds and reads is measured against the kernel's own.
type wire struct {
	near, far *nettest.Namespace
	fd        int
	to        *unix.SockaddrLinklayer
	base      Frame // towards the far end
}

// families are the addresses of the two ends.
var families = map[string]struct{ near, far netip.AddrPort }{
	"v4": {netip.MustParseAddrPort("10.9.0.1:40000"), netip.MustParseAddrPort("10.9.0.2:22")},
	"v6": {netip.MustParseAddrPort("[2001:db8:9::1]:40000"), netip.MustParseAddrPort("[2001:db8:9::2]:22")},
}

func newWire(t *testing.T, near, far netip.AddrPort) *wire {
	t.Helper()
	w := &wire{near: nettest.ForTest(t), far: nettest.ForTest(t)}
	if err := nettest.Veth(w.near, "e0", w.far, "e0"); err != nil {
		t.Fatal(err)
	}
	bits := 24
	if far.Addr().Is6() {
		bits = 64
	}
	// The near end has no address: no stack of ours answers in between.
	if err := w.far.AddAddr("e0", netip.PrefixFrom(far.Addr(), bits)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, n := range []*nettest.Namespace{w.near, w.far} {
		if err := n.Settled(ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.base = Frame{Src: near, Dst: far}
	var err error
	if w.base.SrcMAC, err = w.near.MAC("e0"); err != nil {
		t.Fatal(err)
	}
	if w.base.DstMAC, err = w.far.MAC("e0"); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	w.introduce(t)
	return w
}

// open makes the raw socket.
func (w *wire) open(t *testing.T) {
	t.Helper()
	index, err := w.near.Index("e0")
	if err != nil {
		t.Fatal(err)
	}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	w.to = &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}
	err = w.near.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	timeout := unix.NsecToTimeval((3 * time.Second).Nanoseconds())
	for _, err := range []error{
		unix.Bind(w.fd, w.to),
		unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// introduce tells the far end our hardware address, so that it need not ask.
func (w *wire) introduce(t *testing.T) {
	t.Helper()
	cmd := w.far.Command(t.Context(), "ip", "neigh", "replace", w.base.Src.Addr().String(),
		"lladdr", w.base.SrcMAC.String(), "dev", "e0", "nud", "permanent")
	nettest.Require(t, nettest.Program("ip"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func (w *wire) send(t *testing.T, f Frame) {
	t.Helper()
	if err := unix.Sendto(w.fd, Must(f), 0, w.to); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next packet from the far end's TCP or ICMP to us.
func (w *wire) receive(t *testing.T) Frame {
	t.Helper()
	buffer := make([]byte, 2000)
	for {
		n, from, err := unix.Recvfrom(w.fd, buffer, 0)
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		f, err := Decode(buffer[:n])
		if err != nil {
			t.Fatalf("the kernel sent what Decode refuses: %v: %x", err, buffer[:n])
		}
		if f.Dst.Addr() != w.base.Src.Addr() {
			continue // neighbour and multicast chatter
		}
		if err := Verify(buffer[:n]); err != nil {
			t.Errorf("the kernel's own checksum: %v", err)
		}
		if again := Must(f); !bytes.Equal(again, buffer[:n]) {
			t.Errorf("the kernel's frame, built again, differs:\n%x\n%x", buffer[:n], again)
		}
		return f
	}
}

// A whole connection by hand: the kernel believes every frame of ours, and every
// one of its own is read and built again to the byte.
func TestKernelTalksToUs(t *testing.T) {
	for name, a := range families {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, a.near, a.far)
			nettest.ServeForTest(t, w.far, a.far, nettest.ServerOptions{Banner: "hello", Echo: true})
			f := w.base
			f.Flags, f.Seq, f.Window, f.Options = SYN, 1000, 0x4000, Options(MSS(1000), Timestamps(7, 0))
			w.send(t, f)
			answer := w.receive(t)
			if answer.Flags != SYN|ACK || answer.Ack != 1001 {
				t.Fatalf("the kernel answered the SYN by %+v", answer)
			}
			f.Flags, f.Seq, f.Ack, f.Options = ACK, 1001, answer.Seq+1, Timestamps(8, 0)
			w.send(t, f)
			banner := w.receive(t)
			if string(banner.Payload) != "hello" {
				t.Fatalf("the banner came as %+v", banner)
			}
			f.Flags, f.Ack, f.Payload = PSH|ACK, banner.Seq+5, []byte("odd")
			w.send(t, f)
			for echoed := []byte(nil); len(echoed) < len(f.Payload); {
				echoed = append(echoed, w.receive(t).Payload...)
			}
			f.Flags, f.Seq, f.Payload = RST, 1004, nil
			w.send(t, f)
		})
	}
}

// What lies is not believed: the kernel drops it in silence, and answers the
// honest one after it.
func TestKernelDropsLies(t *testing.T) {
	lies := map[string]Lies{
		"checksum": {Checksum: true}, "data offset": {DataOffset: new(uint8(15))}, "version": {IPVersion: new(uint8(7))},
		"length": {IPLength: new(uint16(3000))},
	}
	for name, a := range families {
		w := newWire(t, a.near, a.far)
		nettest.ServeForTest(t, w.far, a.far, nettest.ServerOptions{})
		port := a.near.Port()
		for lie, lies := range lies {
			t.Run(fmt.Sprintf("%s %s", lie, name), func(t *testing.T) {
				f := w.base
				port++
				f.Src, f.Flags, f.Seq, f.Lies = netip.AddrPortFrom(a.near.Addr(), port), SYN, 5, lies
				w.send(t, f)
				port++
				f.Src, f.Lies = netip.AddrPortFrom(a.near.Addr(), port), Lies{}
				w.send(t, f)
				if answer := w.receive(t); answer.Dst.Port() != port {
					t.Errorf("the kernel answered the frame that lies: %+v", answer)
				}
			})
		}
	}
}

// The kernel's ICMP error quotes our packet so that ReadQuote finds it, and an
// echo request of ours is answered.
func TestKernelAnswersICMP(t *testing.T) {
	types := map[string]struct{ echo, reply, unreachable uint8 }{"v4": {8, 0, 3}, "v6": {128, 129, 1}}
	for name, a := range families {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, a.near, a.far)
			f := w.base
			f.ICMP, f.Payload = &ICMP{Type: types[name].echo, Rest: 0x00070001}, []byte("ping")
			w.send(t, f)
			answer := w.receive(t)
			if answer.ICMP == nil || answer.ICMP.Type != types[name].reply || string(answer.Payload) != "ping" {
				t.Errorf("the kernel answered the echo request by %+v", answer)
			}
			// UDP to a closed port, its header by hand: no checksum to check in
			// what comes back but the outer ones.
			f.ICMP, f.Protocol, f.TTL = nil, ProtoUDP, new(uint8(33))
			f.Payload = udp(w.base, []byte("anybody?"))
			w.send(t, f)
			answer = w.receive(t)
			if answer.ICMP == nil || answer.ICMP.Type != types[name].unreachable {
				t.Fatalf("the kernel answered UDP to a closed port by %+v", answer)
			}
			quoted, err := ReadQuote(answer.Payload)
			if err != nil {
				t.Fatal(err)
			}
			want := Frame{
				Src: netip.AddrPortFrom(a.near.Addr(), 0), Dst: netip.AddrPortFrom(a.far.Addr(), 0),
				Protocol: ProtoUDP, TTL: new(uint8(33)),
			}
			if diff := cmp.Diff(want, quoted, compare); diff != "" {
				t.Errorf("the quoted packet differs (-want +got):\n%s", diff)
			}
		})
	}
}

// udp is a datagram to a port where nobody listens.
func udp(f Frame, payload []byte) []byte {
	f.Protocol = ProtoUDP
	b := append([]byte{0x9c, 0x40, 0, 9, 0, byte(8 + len(payload)), 0, 0}, payload...)
	sum := checksum(f.pseudoHeader(len(b)), b)
	b[6], b[7] = byte(sum>>8), byte(sum)
	return b
}
