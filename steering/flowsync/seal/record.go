package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"
)

// WriteRecord seals and sends one record of 1 to MaxRecord bytes. After an error
// the connection is of no use.
func (c *Conn) WriteRecord(p []byte) error {
	if len(p) == 0 || len(p) > MaxRecord {
		return fmt.Errorf("send record: it has %d bytes, not 1 to %d", len(p), MaxRecord)
	}
	c.outBuf = binary.BigEndian.AppendUint16(c.outBuf[:0], uint16(len(p)+tagSize))
	sealed, err := c.out.Encrypt(c.outBuf, nil, p)
	if err != nil {
		return fmt.Errorf("seal record: %v", err)
	}
	c.outBuf = sealed
	rekey(c.out, &c.outCount)
	if _, err := c.Write(sealed); err != nil {
		return fmt.Errorf("send record: %w", err)
	}
	return nil
}

// ReadRecord returns the next record, valid until the next call. The error wraps
// [io.EOF] only where the connection ended between two records; nothing tells
// that from one that was cut there, so what must be whole says so itself. After
// an error the connection is of no use.
func (c *Conn) ReadRecord() ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(c.Conn, length[:]); err != nil {
		return nil, fmt.Errorf("receive record: %w", err)
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n <= tagSize {
		return nil, fmt.Errorf("receive record: %d bytes are too few", n)
	}
	if cap(c.inBuf) < n {
		c.inBuf = make([]byte, n)
	}
	sealed := c.inBuf[:n]
	if _, err := io.ReadFull(c.Conn, sealed); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("receive record: %w", err)
	}
	p, err := c.in.Decrypt(sealed[:0], nil, sealed)
	if err != nil {
		return nil, errors.New("open record: it is not what the other end sealed")
	}
	rekey(c.in, &c.count)
	return p, nil
}

func rekey(s *noise.CipherState, count *int) {
	if *count++; *count == rekeyAfter {
		s.Rekey()
		*count = 0
	}
}
