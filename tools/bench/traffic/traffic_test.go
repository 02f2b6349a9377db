package traffic

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/internal/nettest/frame"
)

// Every flow of a part comes once, with the addresses Client says, whole frames
// and numbers that grow.
func TestStreamInOrder(t *testing.T) {
	for name, client := range map[string]netip.Addr{
		"v4": netip.MustParseAddr("20.0.0.0"), "v6": netip.MustParseAddr("2001:db8::"),
	} {
		t.Run(name, func(t *testing.T) {
			vip := netip.MustParseAddr("192.0.2.3")
			if client.Is6() {
				vip = netip.MustParseAddr("2001:db8:1::3")
			}
			s := stream(t, StreamOptions{
				Frame:   frame.Frame{Dst: netip.AddrPortFrom(vip, 22), Flags: frame.ACK, Seq: 1001, Payload: []byte("0123456789")},
				Clients: client, First: 40, Flows: 20, Services: 4, Advance: 1,
			})
			var from []netip.AddrPort
			for i := range 40 {
				f := next(t, s)
				from = append(from, f.Src)
				flow := 40 + i%20
				if f.Src != s.Client(flow) || f.Dst != netip.AddrPortFrom(vip, 22+uint16(flow%4)) {
					t.Fatalf("frame %d is from %s to %s", i, f.Src, f.Dst)
				}
				if f.Seq != 1001+uint32(i)/2 || string(f.Payload) != "0123456789" {
					t.Fatalf("frame %d has number %d and payload %q", i, f.Seq, f.Payload)
				}
			}
			slices.SortFunc(from, netip.AddrPort.Compare)
			if n := len(slices.Compact(from)); n != 20 {
				t.Errorf("%d flows, want 20", n)
			}
		})
	}
}

// In random order most flows of a part come soon, and none of another.
func TestStreamAtRandom(t *testing.T) {
	s := stream(t, StreamOptions{
		Frame:   frame.Frame{Dst: netip.MustParseAddrPort("192.0.2.3:22"), Flags: frame.ACK},
		Clients: netip.MustParseAddr("20.0.0.0"), First: 100, Flows: 16, Random: true,
	})
	seen := map[netip.AddrPort]int{}
	for range 200 {
		seen[next(t, s).Src]++
	}
	for flow := 100; flow < 116; flow++ {
		delete(seen, s.Client(flow))
	}
	if len(seen) > 0 {
		t.Errorf("frames of other flows: %v", seen)
	}
}

// Feed says when the program under test was not reached.
func TestFeed(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	p := load(t)
	s := stream(t, StreamOptions{Frame: frame.Frame{Dst: netip.MustParseAddrPort("192.0.2.3:22")}, Clients: netip.MustParseAddr("20.0.0.0"), Flows: 10})
	n := nettest.ForTest(t)
	if err := nettest.Veth(n, "a", n, "b"); err != nil {
		t.Fatal(err)
	}
	index, err := n.Index("a")
	if err != nil {
		t.Fatal(err)
	}
	err = n.Do(func() error {
		ns, err := p.Feed(s, p.Floor(), index, 50_000)
		if err == nil && ns <= 0 {
			t.Errorf("a frame took %v ns", ns)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if sent := s.plan.Sent; sent < 50_000 {
		t.Errorf("%d frames were made, want 50000", sent)
	}
	aborts, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, AttachType: ebpf.AttachXDP, Flags: unix.BPF_F_XDP_HAS_FRAGS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpAborted), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer aborts.Close()
	err = n.Do(func() error {
		_, err := p.Feed(s, aborts, index, 10)
		return err
	})
	if err == nil {
		t.Error("a program that aborts was measured")
	}
}

func load(t *testing.T) *Programs {
	t.Helper()
	p, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func stream(t *testing.T, o StreamOptions) *Stream {
	t.Helper()
	s, err := NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// next has the kernel write one frame over the last and decodes it.
func next(t *testing.T, s *Stream) frame.Frame {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.BPF)
	p := load(t)
	dirty := slices.Repeat([]byte{0xaa}, s.size)
	out := make([]byte, 2048)
	o := ebpf.RunOptions{Data: dirty, DataOut: out}
	if err := p.with(s, func() error {
		_, err := p.objs.Generate.Run(&o)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	f, err := frame.Decode(o.DataOut)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
