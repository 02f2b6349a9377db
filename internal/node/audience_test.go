package node

import (
	"errors"
	"slices"
	"testing"
)

// Whoever follows hears the present state at once, and then each change.
func TestAudience(t *testing.T) {
	var failed []error
	a := &audience{failed: func(err error) { failed = append(failed, err) }}
	a.changed(true)
	var first, second []bool
	a.follow(func(present bool) error { first = append(first, present); return nil })
	a.changed(false)
	refuses := errors.New("closed")
	a.follow(func(present bool) error { second = append(second, present); return refuses })
	a.changed(true)
	if want := []bool{true, false}; !slices.Equal(first, want) {
		t.Errorf("the first dataplane heard %v, not %v", first, want)
	}
	if want := []bool{false, true}; !slices.Equal(second, want) {
		t.Errorf("the second dataplane heard %v, not %v", second, want)
	}
	if want := []error{refuses, refuses}; !slices.Equal(failed, want) {
		t.Errorf("failures %v, not %v", failed, want)
	}
}
