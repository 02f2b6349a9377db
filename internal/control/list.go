package control

import "encoding/json"

// List is a slice that is [] in JSON when it is empty, never null, so that
// scripts may iterate without asking first.
type List[T any] []T

// MarshalJSON implements [json.Marshaler].
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}
