package loader

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// runBatch hands args to a program through its one-element map and
// reads what it made of them.
func runBatch[T any](m *ebpf.Map, prog *ebpf.Program, args *T) error {
	if err := m.Put(uint32(0), args); err != nil {
		return fmt.Errorf("hand over flows: %v", err)
	}
	if _, err := prog.Run(&ebpf.RunOptions{}); err != nil {
		return fmt.Errorf("run program on flows: %v", err)
	}
	if err := m.Lookup(uint32(0), args); err != nil {
		return fmt.Errorf("read what became of flows: %v", err)
	}
	return nil
}
