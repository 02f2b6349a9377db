// Package dump reads lists of the kernel's over netlink.
package dump

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// tries is how often a list is asked for that changed while it was made.
const tries = 20

// Whole returns a list in which nothing is missing: one that changes while the
// kernel makes it, as is likely when something happens, is asked for again
// (NLM_F_DUMP_INTR, linux/netlink.h). It returns the error of list, or one of its
// own where the list changed each time.
func Whole[T any](list func() ([]T, error)) ([]T, error) {
	for range tries {
		got, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return got, err
		}
	}
	return nil, fmt.Errorf("it changed %d times while it was read", tries)
}
