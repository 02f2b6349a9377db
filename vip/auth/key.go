package auth

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Limits of a key's length in bytes. Below, guessing is too cheap; above, HMAC
// would hash the key first.
const (
	MinKey = 32
	MaxKey = 64
)

// Key is a secret that gateways share. However it is printed, it shows nothing:
// the bytes are behind a function, because fmt does not call the methods of an
// unexported field, and follows a pointer where the verb does not fit it.
type Key struct {
	secret func() []byte
}

// NewKey copies a secret of [MinKey] to [MaxKey] bytes.
func NewKey(secret []byte) (Key, error) {
	if len(secret) < MinKey || len(secret) > MaxKey {
		return Key{}, fmt.Errorf("authentication key: %d bytes: give %d to %d random ones (openssl rand -hex 32)", len(secret), MinKey, MaxKey)
	}
	own := append([]byte(nil), secret...)
	return Key{func() []byte { return own }}, nil
}

// ParseKey reads a key as written in settings: "hex:" and an even number of hex
// digits, or else the bytes themselves.
func ParseKey(text string) (Key, error) {
	digits, isHex := strings.CutPrefix(text, "hex:")
	if !isHex {
		return NewKey([]byte(text))
	}
	secret, err := hex.DecodeString(digits)
	if err != nil {
		// The cause would quote a byte of the secret.
		return Key{}, fmt.Errorf("authentication key: what follows hex: is not an even number of hex digits")
	}
	return NewKey(secret)
}

const shown = "[authentication key]"

// Format prints a fixed text instead of the secret, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, shown) }

// String returns a fixed text instead of the secret.
func (Key) String() string { return shown }

// GoString returns a fixed text instead of the secret.
func (Key) GoString() string { return shown }

// MarshalJSON returns a fixed text instead of the secret.
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + shown + `"`), nil }

// MarshalText returns a fixed text instead of the secret.
func (Key) MarshalText() ([]byte, error) { return []byte(shown), nil }

// LogValue returns a fixed text instead of the secret.
func (Key) LogValue() slog.Value { return slog.StringValue(shown) }
