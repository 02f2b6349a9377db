package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"
	"io"
	"strconv"
	"sync"
)

// Keys is a set of keys by id, one of which signs. It does not change: a
// rotation makes a new set that holds the new key beside the old one, gives it
// to every gateway, then one that signs with the new key, then one without the
// old. A set may be used by several goroutines.
type Keys struct {
	current uint8
	known   [256]hash.Hash // HMACs ready to use; nil where there is no key

	mu  sync.Mutex // of the hashes' state and sum
	sum [sha256.Size]byte
}

// NewKeys makes a set of keys by their ids, 1 to 255, of which current signs.
func NewKeys(current uint8, keys map[uint8]Key) (*Keys, error) {
	k := &Keys{current: current}
	for id, key := range keys {
		switch {
		case id == 0:
			return nil, fmt.Errorf("authentication key id 0: give an id from 1 to 255")
		case key.secret == nil:
			return nil, fmt.Errorf("authentication key %d: no secret: give %d to %d bytes", id, MinKey, MaxKey)
		}
		k.known[id] = hmac.New(sha256.New, key.secret())
	}
	if k.known[current] == nil {
		return nil, fmt.Errorf("current authentication key %d: not among the keys: add it to them, or name one that is", current)
	}
	return k, nil
}

// Current is the id of the key that signs.
func (k *Keys) Current() uint8 { return k.current }

// String names the set by the key that signs, and no secret.
func (k *Keys) String() string { return "authentication keys, current " + strconv.Itoa(int(k.current)) }

// Format prints the same as String, whatever the verb.
func (k *Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// noMAC stands for the HMAC's own bytes while it is computed.
var noMAC [macSize]byte

// mac computes the HMAC of a message under a key that is known.
func (k *Keys) mac(id uint8, head []byte, pseudo []byte, parts [][]byte) [macSize]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.known[id]
	h.Reset()
	h.Write(pseudo)
	for _, part := range parts {
		h.Write(part)
	}
	h.Write(head)
	h.Write(noMAC[:])
	return [macSize]byte(h.Sum(k.sum[:0]))
}

// Check says whether a trailer was made by a holder of a key for the message in
// parts, and nothing about its age: [OK], [MissingTrailer], [Malformed],
// [UnknownKey] or [BadMAC]. It is for messages that show their freshness by
// other means.
func (k *Keys) Check(trailer, pseudo []byte, parts ...[]byte) Verdict {
	switch {
	case len(trailer) == 0:
		return MissingTrailer
	case len(trailer) != TrailerSize || trailer[0] != trailerType || trailer[atKey] == 0 || trailer[2] != 0 || trailer[3] != 0:
		return Malformed
	case k.known[trailer[atKey]] == nil:
		return UnknownKey
	}
	want := k.mac(trailer[atKey], trailer[:atMAC], pseudo, parts)
	if subtle.ConstantTimeCompare(want[:], trailer[atMAC:]) != 1 {
		return BadMAC
	}
	return OK
}
