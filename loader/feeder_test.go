package loader_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest/frame"
)

// feeder runs the steering program on frames of one shape, millions of them:
// ports and numbers are patched in place, and the system call is made by hand.
// Checksums are wrong then, which the programs do not look at.
//
// Its thread must be in the gateway's namespace.
type feeder struct {
	in, out []byte
	ctx     xdpMD
	attr    progRun
	pin     runtime.Pinner
	l4      int // offset of the TCP header
}

// xdpMD is struct xdp_md.
type xdpMD struct{ data, dataEnd, dataMeta, ingress, queue, egress uint32 }

// progRun is the part of union bpf_attr that BPF_PROG_RUN reads.
type progRun struct {
	prog, verdict               uint32
	sizeIn, sizeOut             uint32
	in, out                     uint64
	repeat, duration            uint32
	ctxSizeIn, ctxSizeOut       uint32
	ctxIn, ctxOut               uint64
	flags, cpu, batchSize, zero uint32
}

// newFeeder prepares frames like f that come in by an interface.
func newFeeder(prog *ebpf.Program, ingress int, f frame.Frame) *feeder {
	p := &feeder{in: frame.Must(f), out: make([]byte, 2048), l4: 14 + 20}
	if f.Src.Addr().Is6() {
		p.l4 = 14 + 40
	}
	p.ctx = xdpMD{dataEnd: uint32(len(p.in)), ingress: uint32(ingress)}
	for _, at := range []any{&p.in[0], &p.out[0], &p.ctx} {
		p.pin.Pin(at)
	}
	p.attr = progRun{
		prog:      uint32(prog.FD()),
		in:        uint64(uintptr(unsafe.Pointer(&p.in[0]))),
		out:       uint64(uintptr(unsafe.Pointer(&p.out[0]))),
		ctxIn:     uint64(uintptr(unsafe.Pointer(&p.ctx))),
		ctxSizeIn: uint32(unsafe.Sizeof(p.ctx)),
	}
	return p
}

func (p *feeder) close() { p.pin.Unpin() }

// from makes the frame one of another sender.
func (p *feeder) from(src netip.AddrPort) {
	b := src.Addr().AsSlice()
	copy(p.in[p.l4-2*len(b):], b)
	binary.BigEndian.PutUint16(p.in[p.l4:], src.Port())
}

// to makes the frame one to another receiver.
func (p *feeder) to(dst netip.AddrPort) {
	b := dst.Addr().AsSlice()
	copy(p.in[p.l4-len(b):], b)
	binary.BigEndian.PutUint16(p.in[p.l4+2:], dst.Port())
}

func (p *feeder) numbers(flags frame.Flags, seq, ack uint32) {
	binary.BigEndian.PutUint32(p.in[p.l4+4:], seq)
	binary.BigEndian.PutUint32(p.in[p.l4+8:], ack)
	p.in[p.l4+13] = byte(flags)
}

// source and receiver are who the frame that came out is from and for.
func (p *feeder) source() netip.AddrPort   { return p.end(2, 0) }
func (p *feeder) receiver() netip.AddrPort { return p.end(1, 2) }

// end reads the address that starts the given number of addresses before the
// ports, and the port at an offset.
func (p *feeder) end(before, port int) netip.AddrPort {
	size := 4
	if p.l4 > 14+20 {
		size = 16
	}
	at := p.l4 - before*size
	a, _ := netip.AddrFromSlice(p.out[at : at+size])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(p.out[p.l4+port:]))
}

// Verdicts of linux/bpf.h.
const (
	xdpDrop     = 1
	xdpPass     = 2
	xdpTX       = 3
	xdpRedirect = 4
)

const bpfProgRun = 10

// run returns the verdict. With look the frame that came out can be looked at.
func (p *feeder) run(look bool) (uint32, error) {
	p.attr.sizeIn, p.attr.sizeOut = uint32(len(p.in)), 0
	if look {
		p.attr.sizeOut = uint32(len(p.out))
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, bpfProgRun, uintptr(unsafe.Pointer(&p.attr)), unsafe.Sizeof(p.attr))
	if errno != 0 {
		return 0, fmt.Errorf("run steering program: %v", errno)
	}
	return p.attr.verdict, nil
}
