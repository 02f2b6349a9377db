package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"
)

// Key is an Ed25519 key pair of a test. The zero value is none.
type Key struct{ pair *keyPair }

// keyPair is behind a pointer so that keys compare, with none as well.
type keyPair struct {
	private ed25519.PrivateKey
	signer  ssh.Signer
}

// NewKey makes a key.
func NewKey() (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make key: %v", err)
	}
	return keyOf(private)
}

func keyOf(private ed25519.PrivateKey) (Key, error) {
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		return Key{}, fmt.Errorf("make key: %v", err)
	}
	return Key{&keyPair{private, signer}}, nil
}

// Signer returns the private half.
func (k Key) Signer() ssh.Signer { return k.pair.signer }

// Public returns the public half.
func (k Key) Public() ssh.PublicKey { return k.pair.signer.PublicKey() }

// write saves the private half as OpenSSH wants it: unreadable for others.
func (k Key) write(path string) error {
	text, err := k.pem()
	if err != nil {
		return fmt.Errorf("write key %q: %v", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// pem is the private half as OpenSSH writes it.
func (k Key) pem() (string, error) {
	block, err := ssh.MarshalPrivateKey(k.pair.private, "sluice test")
	if err != nil {
		return "", fmt.Errorf("write key: %v", err)
	}
	return string(pem.EncodeToMemory(block)), nil
}

// parseKey undoes pem.
func parseKey(text string) (Key, error) {
	private, err := ssh.ParseRawPrivateKey([]byte(text))
	if err != nil {
		return Key{}, fmt.Errorf("read key: %v", err)
	}
	ed, ok := private.(*ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("read key: it is a %T", private)
	}
	return keyOf(*ed)
}
