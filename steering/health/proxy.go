package health

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// ErrNoProxy is the failure of a check whose server takes a PROXY v2 header for
// the client's own words, or breaks off at it.
var ErrNoProxy = errors.New("does not accept PROXY v2")

// proxyLocal is a PROXY v2 header of command LOCAL: the connection is the
// sender's own, no client is behind it. It has neither addresses nor TLVs.
var proxyLocal = []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")

// goOn names us and waits for the server's offer of algorithms, which every SSH
// server sends after both names (RFC 4253 section 7.1).
//
// The name alone proves nothing: OpenSSH sends it before it has read anything.
// One that does not read the header then takes it for our name, says so and
// closes.
func goOn(conn net.Conn, r *bufio.Reader) error {
	if _, err := io.WriteString(conn, ownIdentification); err != nil {
		return fmt.Errorf("%w: %v", ErrNoProxy, cause(err))
	}
	const msgKexInit, longest = 20, 256 << 10
	head, err := r.Peek(6) // length, length of padding, message
	if err == nil && binary.BigEndian.Uint32(head) <= longest && head[5] == msgKexInit {
		return nil
	}
	if timedOut(err) {
		return fmt.Errorf("sent its identification and then nothing in time: %w", err)
	}
	said, _ := r.Peek(r.Buffered())
	if len(said) == 0 {
		return fmt.Errorf("%w: broke off at the header", ErrNoProxy)
	}
	return fmt.Errorf("%w: answered the header by %s", ErrNoProxy, quote(firstLine(said)))
}

// firstLine is what an operator may read of an answer.
func firstLine(b []byte) string {
	for i, c := range b {
		if c == '\r' || c == '\n' {
			return string(b[:i])
		}
	}
	return string(b)
}
