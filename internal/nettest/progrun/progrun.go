// Package progrun hands frames to an XDP program by BPF_PROG_RUN, with the
// system call made by hand: the library's call either measures or takes a
// context, and costs more than the programs do.
package progrun

import (
	"errors"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Call is a call that can be repeated. Between two the frame may be changed in
// place. Its thread must be in the namespace of the interface.
type Call struct {
	in, out []byte
	ctx     context
	attr    attributes
	pin     runtime.Pinner
}

// context is struct xdp_md.
type context struct{ data, dataEnd, dataMeta, ingress, queue, egress uint32 }

// attributes are the part of union bpf_attr that BPF_PROG_RUN reads.
type attributes struct {
	prog, verdict               uint32
	sizeIn, sizeOut             uint32
	in, out                     uint64
	repeat, duration            uint32
	ctxSizeIn, ctxSizeOut       uint32
	ctxIn, ctxOut               uint64
	flags, cpu, batchSize, zero uint32
}

const bpfProgRun = 10

// New prepares a call of prog with the frame in, which comes in by the
// interface with an index. The frame that came out is written to out, which may
// be nil. Close it when done.
func New(prog *ebpf.Program, in, out []byte, ingress int) *Call {
	c := &Call{in: in, out: out, ctx: context{dataEnd: uint32(len(in)), ingress: uint32(ingress)}}
	c.pin.Pin(&in[0])
	c.pin.Pin(&c.ctx)
	c.attr = attributes{
		prog:      uint32(prog.FD()),
		in:        uint64(uintptr(unsafe.Pointer(&in[0]))),
		ctxIn:     uint64(uintptr(unsafe.Pointer(&c.ctx))),
		ctxSizeIn: uint32(unsafe.Sizeof(c.ctx)),
	}
	if len(out) > 0 {
		c.pin.Pin(&out[0])
	}
	return c
}

// Close lets go of the memory of the frames.
func (c *Call) Close() { c.pin.Unpin() }

// Result is what the program did with the last frame.
type Result struct {
	// Verdict is an enum xdp_action.
	Verdict uint32
	// Nanoseconds are the mean of what a repetition took.
	Nanoseconds uint32
}

// Do hands the frame over once and writes down what came out.
func (c *Call) Do() (Result, error) { return c.run(0, 0, c.out) }

// Blind hands the frame over once and lets what comes out be lost.
func (c *Call) Blind() (Result, error) { return c.run(0, 0, nil) }

// Repeat hands the frame over a number of times.
func (c *Call) Repeat(times int) (Result, error) { return c.run(times, 0, nil) }

// Live hands copies of the frame to the program a number of times as if they had
// come in, so that they are sent where it says.
func (c *Call) Live(times int) error {
	_, err := c.run(times, unix.BPF_F_TEST_XDP_LIVE_FRAMES, nil)
	return err
}

// run makes the call again when a signal has ended it.
func (c *Call) run(times int, flags uint32, out []byte) (Result, error) {
	c.attr.sizeIn, c.attr.sizeOut, c.attr.out = uint32(len(c.in)), uint32(len(out)), 0
	if len(out) > 0 {
		c.attr.out = uint64(uintptr(unsafe.Pointer(&out[0])))
	}
	c.attr.repeat, c.attr.flags = uint32(times), flags
	for {
		_, _, errno := unix.Syscall(unix.SYS_BPF, bpfProgRun, uintptr(unsafe.Pointer(&c.attr)), unsafe.Sizeof(c.attr))
		if errors.Is(errno, unix.EINTR) {
			continue
		}
		if errno != 0 {
			return Result{}, errno
		}
		return Result{Verdict: c.attr.verdict, Nanoseconds: c.attr.duration}, nil
	}
}
