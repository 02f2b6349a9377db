package dump

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// A list that changed while it was read is asked for again, not for ever.
func TestWhole(t *testing.T) {
	for interrupted, fine := range map[int]bool{0: true, 1: true, tries - 1: true, tries: false} {
		asked := 0
		got, err := Whole(func() ([]int, error) {
			if asked++; asked <= interrupted {
				return []int{1}, netlink.ErrDumpInterrupted
			}
			return []int{1, 2}, nil
		})
		if fine != (err == nil) || fine != (len(got) == 2) {
			t.Errorf("after %d: %v, %v", interrupted, got, err)
		}
	}
}
