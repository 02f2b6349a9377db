package traffic

import (
	"errors"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// run is a call of BPF_PROG_RUN by hand: the library's measures without a
// context, or runs with one and does not measure.
type run struct {
	data []byte
	ctx  xdpMD
	attr progRun
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

const bpfProgRun = 10

func newRun(prog *ebpf.Program, s *Stream, ifindex, repeat int) *run {
	data := s.bytes()
	return &run{
		data: data,
		ctx:  xdpMD{dataEnd: uint32(len(data)), ingress: uint32(ifindex)},
		attr: progRun{prog: uint32(prog.FD()), sizeIn: uint32(len(data)), repeat: uint32(repeat)},
	}
}

// do repeats a call that a signal has ended.
func (r *run) do() error {
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&r.data[0])
	pin.Pin(&r.ctx)
	r.attr.in = uint64(uintptr(unsafe.Pointer(&r.data[0])))
	r.attr.ctxIn = uint64(uintptr(unsafe.Pointer(&r.ctx)))
	r.attr.ctxSizeIn = uint32(unsafe.Sizeof(r.ctx))
	for {
		_, _, errno := unix.Syscall(unix.SYS_BPF, bpfProgRun, uintptr(unsafe.Pointer(&r.attr)), unsafe.Sizeof(r.attr))
		if errors.Is(errno, unix.EINTR) {
			continue
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}
