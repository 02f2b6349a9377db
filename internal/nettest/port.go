package nettest

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// port is where a gateway's cable goes into a switch. What is lost here is lost
// without a trace: both ends keep their carrier.
type port struct {
	in   *Namespace
	name string
	lost Direction
	// pulled are the gateways because of which there is no carrier: a cable has
	// two ends.
	pulled map[*ClusterGateway]bool
}

// Direction is which way frames are lost, as the gateway sees it.
type Direction int

// The directions. They may be or-ed.
const (
	Outbound Direction = 1 << iota // what it sends
	Inbound                        // what it is sent
	BothWays = Outbound | Inbound
)

// dropPriority and dropHandle name the one filter of each side of a port.
const (
	dropPriority = 1
	dropHandle   = 1
	tcShot       = 2 // TC_ACT_SHOT of linux/pkt_cls.h
)

// newPort makes room for filters: with it in place a fault is one message to the
// kernel.
func newPort(in *Namespace, name string) (*port, error) {
	p := &port{in: in, name: name, pulled: make(map[*ClusterGateway]bool)}
	return p, in.onLink(name, "prepare", func(l netlink.Link) error {
		return in.nl.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: l.Attrs().Index,
			Handle:    netlink.MakeHandle(0xffff, 0),
			Parent:    netlink.HANDLE_CLSACT,
		}})
	})
}

// lose drops frames in exactly these directions from now on.
func (p *port) lose(d Direction) error {
	return p.in.onLink(p.name, "lose frames at", func(l netlink.Link) error {
		for _, side := range []struct {
			way    Direction
			parent uint32
		}{{Outbound, netlink.HANDLE_MIN_INGRESS}, {Inbound, netlink.HANDLE_MIN_EGRESS}} {
			if err := p.filter(l, side.parent, p.lost&side.way != 0, d&side.way != 0); err != nil {
				return err
			}
			p.lost = p.lost&^side.way | d&side.way
		}
		return nil
	})
}

// filter brings one side from one state to another.
func (p *port) filter(l netlink.Link, parent uint32, is, want bool) error {
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Attrs().Index, Parent: parent,
			Handle: dropHandle, Priority: dropPriority, Protocol: unix.ETH_P_ALL,
		},
		Name: "drop", DirectAction: true,
	}
	switch {
	case is == want:
		return nil
	case is:
		return p.in.nl.FilterDel(f)
	}
	program, err := dropProgram()
	if err != nil {
		return err
	}
	defer program.Close() // the filter holds it
	f.Fd = program.FD()
	return p.in.nl.FilterAdd(f)
}

// dropProgram is a classifier that drops everything.
func dropProgram() (*ebpf.Program, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "drop", Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, tcShot), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load program: %v; CAP_BPF and CAP_NET_ADMIN are needed", err)
	}
	return program, nil
}

// pull takes the carrier away because of a gateway.
func (p *port) pull(by *ClusterGateway) error {
	if len(p.pulled) == 0 {
		if err := p.in.Down(p.name); err != nil {
			return err
		}
	}
	p.pulled[by] = true
	return nil
}

// plug gives the carrier back, unless another gateway keeps it away too.
func (p *port) plug(by *ClusterGateway) error {
	if !p.pulled[by] {
		return nil
	}
	delete(p.pulled, by)
	if len(p.pulled) > 0 {
		return nil
	}
	return p.in.Up(p.name)
}
