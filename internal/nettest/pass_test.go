package nettest

import (
	"bytes"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// reflect sends every packet that arrives on the link back where it came from.
func reflect(t *testing.T, n *Namespace, name string) {
	t.Helper()
	const xdpTX = 3
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpTX), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	index, err := n.Index(name)
	if err != nil {
		t.Fatal(err)
	}
	err = n.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: index, Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// returns says whether a frame that n sends over the link comes back.
func returns(t *testing.T, n *Namespace, name string) bool {
	t.Helper()
	const localExperimental = 0x88b5
	frame := append(bytes.Repeat([]byte{2}, 12), localExperimental>>8, localExperimental&0xff)
	frame = append(frame, make([]byte, 46)...)
	index, err := n.Index(name)
	if err != nil {
		t.Fatal(err)
	}
	protocol := uint16(localExperimental&0xff<<8 | localExperimental>>8)
	back := false
	err = n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol))
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		addr := &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index, Halen: 6}
		if err := unix.Bind(fd, addr); err != nil {
			return err
		}
		timeout := unix.NsecToTimeval((200 * time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return err
		}
		if err := unix.Sendto(fd, frame, 0, addr); err != nil {
			return err
		}
		// Without the flag the socket would see its own frame go out.
		buffer := make([]byte, 100)
		for {
			_, from, err := unix.Recvfrom(fd, buffer, 0)
			if err != nil {
				return nil
			}
			if from.(*unix.SockaddrLinklayer).Pkttype != unix.PACKET_OUTGOING {
				back = true
				return nil
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestAttachPass(t *testing.T) {
	Require(t, BPF)
	a, b := twoHosts(t)
	reflect(t, b, "e0")
	if returns(t, a, "e0") {
		t.Error("frames sent by XDP arrive without a program; AttachPass would not be needed")
	}
	if err := a.AttachPass("e0"); err != nil {
		t.Fatal(err)
	}
	if !returns(t, a, "e0") {
		t.Error("frames sent by XDP do not arrive although the far end has a program")
	}
	wantError(t, a.AttachPass("e0"), "XDP_PASS", `"e0"`)
	l, err := a.Netlink().LinkByName("e0")
	if err != nil {
		t.Fatal(err)
	}
	if xdp := l.Attrs().Xdp; xdp == nil || !xdp.Attached || xdp.AttachMode != uint32(nativeMode) {
		t.Errorf("the program is attached as %+v, want native", xdp)
	}
}

// What a host sends comes back from a far end that reflects, over a relay and not
// without it.
func TestRelay(t *testing.T) {
	Require(t, Root, Namespaces, BPF)
	near, relay, far := ForTest(t), ForTest(t), ForTest(t)
	for _, err := range []error{
		Veth(near, "e0", relay, "n0"), Veth(far, "e0", relay, "f0"), near.AttachPass("e0"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	reflect(t, far, "e0")
	if returns(t, near, "e0") {
		t.Error("frames come back without a relay")
	}
	if err := relay.Relay("n0", "f0"); err != nil {
		t.Fatal(err)
	}
	if !returns(t, near, "e0") {
		t.Error("frames do not come back over the relay")
	}
	wantError(t, relay.Relay("n0", "x0"), `"x0"`)
}

// nativeMode is XDP_ATTACHED_DRV of linux/if_link.h.
const nativeMode = 1

func TestPassProgramPasses(t *testing.T) {
	Require(t, Root, BPF)
	program, err := passProgram()
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	verdict, _, err := program.Test(make([]byte, 14))
	if err != nil || verdict != xdpPass {
		t.Errorf("verdict is %d (%v), want %d", verdict, err, xdpPass)
	}
}
