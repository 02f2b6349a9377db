package steering

import (
	"errors"
	"fmt"
	"slices"
)

// journal remembers how to take back what was done, so that a change that
// fails half-way leaves nothing behind.
type journal struct {
	undo []func() error
}

// do runs step and, if it succeeds, remembers undo.
func (j *journal) do(step, undo func() error) error {
	if err := step(); err != nil {
		return err
	}
	j.undo = append(j.undo, undo)
	return nil
}

// rollback takes everything back, the last first, and goes on where a step
// back fails: what can be as before shall be.
func (j *journal) rollback() error {
	var faults []error
	for _, v := range slices.Backward(j.undo) {
		if err := v(); err != nil {
			faults = append(faults, err)
		}
	}
	j.undo = nil
	if len(faults) > 0 {
		return fmt.Errorf("take back: %w", errors.Join(faults...))
	}
	return nil
}
