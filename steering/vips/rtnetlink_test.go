package vips

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
)

// A list that changed while it was read is read again, and not for ever; other
// errors are told at once.
func TestWhole(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		interrupted int
		then        error
		calls       int
		want        error
	}{
		"at once":   {0, nil, 1, nil},
		"later":     {3, nil, 4, nil},
		"never":     {1000, nil, dumps, netlink.ErrDumpInterrupted},
		"an error":  {0, broken, 1, broken},
		"error now": {2, broken, 3, broken},
	} {
		calls := 0
		got, err := whole(func() ([]int, error) {
			if calls++; calls <= c.interrupted {
				return nil, fmt.Errorf("%w", netlink.ErrDumpInterrupted)
			}
			return []int{calls}, c.then
		})
		if !errors.Is(err, c.want) || calls != c.calls || err == nil && (len(got) != 1 || got[0] != calls) {
			t.Errorf("%s: %v, %v after %d calls", name, got, err, calls)
		}
	}
}
