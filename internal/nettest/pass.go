package nettest

import (
	"errors"
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
func (n *Namespace) AttachPass(name string) error { return n.attach(name, "XDP_PASS", passProgram) }

// Relay has all frames that come in by one of two veth ends leave by the other,
// until the namespace is closed. To the far ends, which need programs of their
// own, frames then come as from a driver, in its pages, and not as from a
// socket that is told of each.
func (n *Namespace) Relay(a, b string) error {
	return errors.Join(n.redirect(a, b), n.redirect(b, a))
}

func (n *Namespace) redirect(from, to string) error {
	index, err := n.Index(to)
	if err != nil {
		return err
	}
	return n.attach(from, "XDP_REDIRECT", func() (*ebpf.Program, error) {
		return loadProgram("redirect", asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(index)),
			asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(),
			asm.Return(),
		})
	})
}

// attach puts a program, known by its verdict, on a link until the namespace is
// closed.
func (n *Namespace) attach(name, verdict string, load func() (*ebpf.Program, error)) error {
	return n.onLink(name, "attach "+verdict+" to", func(l netlink.Link) error {
		program, err := load()
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

func passProgram() (*ebpf.Program, error) {
	return loadProgram("pass", asm.Instructions{
		asm.Mov.Imm(asm.R0, xdpPass),
		asm.Return(),
	})
}

// loadProgram loads what is built here and not compiled from C: a few
// instructions need no compiler.
func loadProgram(name string, body asm.Instructions) (*ebpf.Program, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         name,
		Type:         ebpf.XDP,
		Instructions: body,
		License:      "Dual BSD/GPL",
		// For links with an MTU beyond a page (Linux 5.18).
		Flags: fragmentsFlag(),
	})
	if err != nil {
		return nil, fmt.Errorf("load program: %v; CAP_BPF and CAP_NET_ADMIN are needed", err)
	}
	return program, nil
}
