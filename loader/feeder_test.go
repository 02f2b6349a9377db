package loader_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"sluice/internal/nettest/frame"
	"sluice/internal/nettest/progrun"
)

// feeder runs the steering program on frames of one shape, millions of them:
// ports and numbers are patched in place. Checksums are wrong then, which the
// programs do not look at.
//
// Its thread must be in the gateway's namespace.
type feeder struct {
	in, out []byte
	call    *progrun.Call
	l4      int // offset of the TCP header
}

// newFeeder prepares frames like f that come in by an interface.
func newFeeder(prog *ebpf.Program, ingress int, f frame.Frame) *feeder {
	p := &feeder{in: frame.Must(f), out: make([]byte, 2048), l4: 14 + 20}
	if f.Src.Addr().Is6() {
		p.l4 = 14 + 40
	}
	p.call = progrun.New(prog, p.in, p.out, ingress)
	return p
}

func (p *feeder) close() { p.call.Close() }

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

// run returns the verdict. With look the frame that came out can be looked at.
func (p *feeder) run(look bool) (uint32, error) {
	do := p.call.Blind
	if look {
		do = p.call.Do
	}
	r, err := do()
	if err != nil {
		return 0, fmt.Errorf("run steering program: %v", err)
	}
	return r.Verdict, nil
}
