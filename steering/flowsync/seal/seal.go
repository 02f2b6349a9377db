// Package seal makes a connection between two gateways private and proves both
// ends to each other by the key they share.
//
// It is the Noise protocol Noise_NNpsk0_25519_ChaChaPoly_SHA256: the shared key
// is mixed in before anything else, so who does not have it gets no answer; the
// fresh keys of both ends make each connection another one, so nothing recorded
// can be used again; each direction has a key and a count of its own, so nothing
// can be sent back, left out or put elsewhere. TLS would need certificates made
// from the key, since crypto/tls takes no external one.
package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/flynn/noise"
)

// KeySize is the length of the shared key in bytes.
const KeySize = 32

// MaxRecord is the most bytes of a record before it is sealed.
const MaxRecord = noise.MaxMsgLen - tagSize

const (
	tagSize = 16
	// helloSize is both handshake messages': an ephemeral key and a tag.
	helloSize = 32 + tagSize
	// rekeyAfter is after how many records a direction changes its key: far below
	// what any cipher allows, and what is stolen later opens nothing sent before.
	rekeyAfter = 1 << 16
)

// magic begins what the dialling end sends, so that another program or version
// is told apart from a wrong key.
var magic = []byte("sluice flow sync 1\n")

// Conn is a sealed connection. One goroutine at a time may write, one read.
type Conn struct {
	net.Conn
	out, in         *noise.CipherState
	outCount, count int
	outBuf, inBuf   []byte
}

// Dial proves the key to who accepted conn and has it proven. The names are the
// gateways': both ends must mean the same. Deadlines are the caller's, as is
// conn when it fails.
func Dial(conn net.Conn, key [KeySize]byte, self, peer string) (*Conn, error) {
	c, err := dial(conn, key, self, peer)
	if err != nil {
		return nil, fmt.Errorf("prove the cluster key to gateway %q: %w", peer, err)
	}
	return c, nil
}

func dial(conn net.Conn, key [KeySize]byte, self, peer string) (*Conn, error) {
	hs, err := handshake(key, true, self, peer)
	if err != nil {
		return nil, err
	}
	hello, _, _, err := hs.WriteMessage(nil, nil)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(magic[:len(magic):len(magic)], hello...)); err != nil {
		return nil, err
	}
	answer := make([]byte, helloSize)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, fmt.Errorf("it hung up; most likely it has another cluster key or other names of nodes: %w", err)
	}
	_, out, in, err := hs.ReadMessage(nil, answer)
	if err != nil {
		return nil, errKey
	}
	return &Conn{Conn: conn, out: out, in: in}, nil
}

var errKey = errors.New("it has another cluster key, or other names of nodes")

// Accept is the other end of Dial. That it returns does not mean that the peer
// lives: its first message may be a copy. The first record that can be read
// proves it.
func Accept(conn net.Conn, key [KeySize]byte, self, peer string) (*Conn, error) {
	c, err := accept(conn, key, self, peer)
	if err != nil {
		return nil, fmt.Errorf("have the cluster key proven by gateway %q: %w", peer, err)
	}
	return c, nil
}

func accept(conn net.Conn, key [KeySize]byte, self, peer string) (*Conn, error) {
	hs, err := handshake(key, false, peer, self)
	if err != nil {
		return nil, err
	}
	hello := make([]byte, len(magic)+helloSize)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return nil, err
	}
	if string(hello[:len(magic)]) != string(magic) {
		return nil, errors.New("it does not speak this version of flow sync")
	}
	if _, _, _, err := hs.ReadMessage(nil, hello[len(magic):]); err != nil {
		return nil, errKey
	}
	answer, in, out, err := hs.WriteMessage(nil, nil)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(answer); err != nil {
		return nil, err
	}
	return &Conn{Conn: conn, out: out, in: in}, nil
}

// handshake binds the roles to the names, so that a gateway that is led back to
// itself, or to a third one, finds another key there.
func handshake(key [KeySize]byte, initiator bool, dialler, listener string) (*noise.HandshakeState, error) {
	if key == [KeySize]byte{} {
		return nil, errors.New("there is no key")
	}
	prologue := magic[:len(magic):len(magic)]
	for _, name := range []string{dialler, listener} {
		prologue = binary.BigEndian.AppendUint16(prologue, uint16(len(name)))
		prologue = append(prologue, name...)
	}
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:           noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
		Pattern:               noise.HandshakeNN,
		Initiator:             initiator,
		Prologue:              prologue,
		PresharedKey:          key[:],
		PresharedKeyPlacement: 0,
	})
}
