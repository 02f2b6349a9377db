package store

import "bytes"

// Verdict is what the settings file means now.
type Verdict int

// The verdicts, from the rule "the file is the truth only when it changed".
const (
	// Unchanged: the file reads as it did, whatever runs by now.
	Unchanged Verdict = iota
	// Next: the file changed and nothing else did; it becomes the next
	// generation.
	Next
	// Conflict: the file changed, and since it was read newer generations came
	// by another way. One of the two changes would be lost.
	Conflict
)

// Judge compares the settings file with the copy last read.
func (s *Store) Judge(file []byte) Verdict {
	switch {
	case s.seen.Generation > s.current.Number:
		// What was made from the file is damaged: take it again, even unchanged.
		return Next
	case s.seen.Generation != 0 && bytes.Equal(file, s.seen.Text):
		return Unchanged
	case s.seen.Generation == s.current.Number:
		return Next
	default:
		return Conflict
	}
}

// FileIsBehind says that newer generations came otherwise than by the file.
func (s *Store) FileIsBehind() bool { return s.current.Number > s.seen.Generation }
