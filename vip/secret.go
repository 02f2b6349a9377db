package vip

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a key as it travels between processes and lies in the plan's file.
// However it is printed, it shows nothing: the bytes are behind a function, because
// fmt does not call the methods of unexported fields. The zero value is no secret.
type Secret struct {
	text func() []byte
}

// NewSecret copies a secret.
func NewSecret(text []byte) Secret {
	if len(text) == 0 {
		return Secret{}
	}
	own := bytes.Clone(text)
	return Secret{func() []byte { return own }}
}

// reveal returns the secret, which is not to be changed; nil for none.
func (s Secret) reveal() []byte {
	if s.text == nil {
		return nil
	}
	return s.text()
}

const shown = "[secret]"

// Format prints a fixed text instead of the secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, shown) }

// String returns a fixed text instead of the secret.
func (Secret) String() string { return shown }

// GoString returns a fixed text instead of the secret.
func (Secret) GoString() string { return shown }

// MarshalText returns a fixed text instead of the secret, for JSON too.
func (Secret) MarshalText() ([]byte, error) { return []byte(shown), nil }

// LogValue returns a fixed text instead of the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(shown) }

// GobEncode returns the secret itself, for the vip process alone.
func (s Secret) GobEncode() ([]byte, error) { return s.reveal(), nil }

// GobDecode takes a secret that GobEncode gave.
func (s *Secret) GobDecode(text []byte) error {
	*s = NewSecret(text)
	return nil
}
