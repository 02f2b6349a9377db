package progrun

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"sluice/internal/nettest"
)

// TestCall runs a program that returns the interface and turns the first byte.
func TestCall(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.LoadMem(asm.R0, asm.R1, 12, asm.Word), // ingress_ifindex
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 1),
		asm.JGT.Reg(asm.R4, asm.R3, "end"),
		asm.StoreImm(asm.R2, 0, 7, asm.Byte),
		asm.Return().WithSymbol("end"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	lo := 0
	n := nettest.ForTest(t)
	if lo, err = n.Index("lo"); err != nil {
		t.Fatal(err)
	}
	in, out := make([]byte, 64), make([]byte, 64)
	call := New(prog, in, out, lo)
	defer call.Close()
	err = n.Do(func() error {
		if r, err := call.Blind(); err != nil || r.Verdict != uint32(lo) || out[0] != 0 {
			t.Errorf("blind: %+v (%v), out %v", r, err, out[0])
		}
		in[1] = 9
		if r, err := call.Do(); err != nil || r.Verdict != uint32(lo) || !slices.Equal(out[:2], []byte{7, 9}) {
			t.Errorf("%+v (%v), out %v", r, err, out[:2])
		}
		if r, err := call.Repeat(10); err != nil || r.Verdict != uint32(lo) || r.Nanoseconds == 0 {
			t.Errorf("repeated: %+v (%v)", r, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
