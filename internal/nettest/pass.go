package nettest

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// xdpPass is the verdict XDP_PASS of linux/bpf.h.
const xdpPass = 2

// AttachPass puts a program on a veth end that passes every packet on, until the
// namespace is closed.
//
// It belongs on the far end of every veth whose near end answers or redirects by
// XDP: without a program there the kernel delivers none of these frames, and
// says nothing.
func (n *Namespace) AttachPass(name string) error {
	return n.onLink(name, "attach XDP_PASS to", func(l netlink.Link) error {
		program, err := passProgram()
		if err != nil {
			return err
		}
		// The link holds the program.
		defer program.Close()
		return n.Do(func() error {
			attached, err := link.AttachXDP(link.XDPOptions{
				Program: program, Interface: l.Attrs().Index, Flags: link.XDPDriverMode,
			})
			if err != nil {
				return err
			}
			n.onClose(attached.Close)
			return nil
		})
	})
}

func fragmentsFlag() uint32 {
	if features.HaveProgramHelper(ebpf.XDP, asm.FnXdpGetBuffLen) != nil {
		return 0
	}
	return unix.BPF_F_XDP_HAS_FRAGS
}

// passProgram is built here and not compiled from C: two instructions need no
// compiler.
func passProgram() (*ebpf.Program, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "pass",
		Type: ebpf.XDP,
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R0, xdpPass),
			asm.Return(),
		},
		License: "Dual BSD/GPL",
		// For links with an MTU beyond a page (Linux 5.18).
		Flags: fragmentsFlag(),
	})
	if err != nil {
		return nil, fmt.Errorf("load program: %v; CAP_BPF and CAP_NET_ADMIN are needed", err)
	}
	return program, nil
}
