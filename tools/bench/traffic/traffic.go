// Package traffic makes frames in the kernel, faster than a socket takes them,
// and measures what an XDP program spends on each.
//
// Frames come from one of two places. Send hands live frames to the driver of a
// veth, so that the program on its other end runs where it runs in service;
// what it costs is read from the kernel's statistics, which cost something
// themselves. Feed runs the program in a loop without any driver, each time on
// a frame just written; what writing costs is subtracted by the caller.
package traffic

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest/progrun"
)

// Programs are the benchmark's own programs.
type Programs struct{ objs bpfObjects }

// Load loads the programs.
func Load() (*Programs, error) {
	p := &Programs{}
	if err := loadBpfObjects(&p.objs, nil); err != nil {
		return nil, fmt.Errorf("load the benchmark's programs: %v", err)
	}
	return p, nil
}

// Close unloads the programs.
func (p *Programs) Close() error { return p.objs.Close() }

// Floor is the program that costs are given in units of: it parses, counts one
// per-CPU counter, swaps the MACs and sends the frame back.
func (p *Programs) Floor() *ebpf.Program { return p.objs.FloorTx }

// Empty drops every frame: what measuring itself costs.
func (p *Programs) Empty() *ebpf.Program { return p.objs.Empty }

// Far is for the far end of the wire. It drops every frame, but plays client
// and backend while a stream with Answers is sent.
func (p *Programs) Far() *ebpf.Program { return p.objs.Answer }

// batch is how many frames one system call makes at most: a signal, such as the
// Go scheduler's, has the call begin anew.
const batch = 20_000

// Send sends count frames of a stream, or a few more, out of the interface of a
// number. The calling thread must be in the interface's namespace.
func (p *Programs) Send(s *Stream, ifindex, count int) error {
	return p.with(s, func() error {
		call := progrun.New(p.objs.Generate, s.bytes(), nil, ifindex)
		defer call.Close()
		for left := count; left > 0; left -= batch {
			if err := call.Live(min(left, batch)); err != nil {
				return fmt.Errorf("send frames: %v", err)
			}
		}
		return nil
	})
}

// Feed runs a program on count frames of a stream that seem to come in by the
// interface of a number, and returns how many nanoseconds one took, together
// with writing it. The calling thread must be in the interface's namespace.
func (p *Programs) Feed(s *Stream, to *ebpf.Program, ifindex, count int) (float64, error) {
	if err := p.objs.Target.Put(uint32(0), to); err != nil {
		return 0, fmt.Errorf("put %s under test: %v", to, err)
	}
	var sum, frames float64
	err := p.with(s, func() error {
		call := progrun.New(p.objs.Feed, s.bytes(), nil, ifindex)
		defer call.Close()
		for left := count; left > 0; left -= batch {
			n := min(left, batch)
			r, err := call.Repeat(n)
			if err != nil {
				return fmt.Errorf("run %s on frames: %v", to, err)
			}
			if r.Verdict == xdpAborted {
				return fmt.Errorf("run %s on frames: it was not reached", to)
			}
			sum += float64(r.Nanoseconds) * float64(n)
			frames += float64(n)
		}
		return nil
	})
	return sum / max(frames, 1), err
}

const xdpAborted = 0

// with puts a stream in place, and notes afterwards how far it got.
func (p *Programs) with(s *Stream, fn func() error) error {
	if err := p.objs.Plans.Put(uint32(0), &s.plan); err != nil {
		return fmt.Errorf("put the plan of frames: %v", err)
	}
	err := fn()
	if lookup := p.objs.Plans.Lookup(uint32(0), &s.plan); lookup != nil {
		err = errors.Join(err, fmt.Errorf("read the plan of frames: %v", lookup))
	}
	return err
}

// CountRuns has the kernel measure every run of every program until it is
// closed.
func CountRuns() (io.Closer, error) {
	c, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("have the kernel measure programs: %v; root is needed", err)
	}
	return c, nil
}

// Meter reads what a program cost between two looks.
type Meter struct {
	prog *ebpf.Program
	was  ebpf.ProgramStats
}

// NewMeter starts at now.
func NewMeter(prog *ebpf.Program) (*Meter, error) {
	m := &Meter{prog: prog}
	_, _, err := m.Read()
	return m, err
}

// Read returns how often the program ran since the last look, and how many
// nanoseconds one run took on average.
func (m *Meter) Read() (ns float64, runs int, err error) {
	now, err := m.prog.Stats()
	if err != nil {
		return 0, 0, fmt.Errorf("read statistics of %s: %v", m.prog, err)
	}
	count := now.RunCount - m.was.RunCount
	took := now.Runtime - m.was.Runtime
	m.was = *now
	return float64(took) / float64(max(count, 1)), int(count), nil
}
