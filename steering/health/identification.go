package health

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of RFC 4253 §4.2 and, for what the RFC leaves open, of OpenSSH's own
// client.
const (
	maxIdentification = 255 // with CR LF
	maxPreamble       = 64 << 10
	maxPreambleLines  = 1024
)

// errSilent is the end of a connection on which nothing was said.
var errSilent = errors.New("closed the connection without an SSH identification")

// readIdentification reads the line by which an SSH server names itself, and
// returns it without its end. Other lines may come before it. said is the
// beginning of the first of these, for a message; it is not escaped.
//
// An error of r is returned as it is, but for io.EOF.
func readIdentification(r io.ByteReader) (identification, said string, err error) {
	var line []byte
	for total, lines := 0, 0; total < maxPreamble && lines < maxPreambleLines; total++ {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			err = errSilent
			if len(line) > 0 {
				err = errors.New("closed the connection in the middle of a line")
			}
		}
		if err != nil {
			return "", firstOf(said, line), err
		}
		if c != '\n' {
			// Of a long line the beginning is enough to know what it is.
			if len(line) < maxIdentification {
				line = append(line, c)
			}
			continue
		}
		text := strings.TrimSuffix(string(line), "\r")
		if strings.HasPrefix(text, "SSH-") {
			return text, said, checkIdentification(text, len(line))
		}
		said = firstOf(said, line)
		line = line[:0]
		lines++
	}
	return "", firstOf(said, line), fmt.Errorf("sent no SSH identification in its first %d bytes or %d lines", maxPreamble, maxPreambleLines)
}

// firstOf is what the server said first.
func firstOf(said string, line []byte) string {
	if said != "" {
		return said
	}
	return strings.TrimSuffix(string(line), "\r")
}

// checkIdentification looks at the line itself; length is that before its end.
func checkIdentification(text string, length int) error {
	if length >= maxIdentification {
		return fmt.Errorf("sent an SSH identification of more than %d bytes", maxIdentification)
	}
	rest, ok := strings.CutPrefix(text, "SSH-2.0-")
	if !ok {
		// A server of the time between, which speaks both.
		rest, ok = strings.CutPrefix(text, "SSH-1.99-")
	}
	if !ok {
		return fmt.Errorf("speaks another SSH than 2.0: %s", quote(text))
	}
	if rest == "" || strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("sent a broken SSH identification: %s", quote(text))
	}
	return nil
}

// quote makes bytes of a server fit for a line of log: escaped, and no longer
// than somebody would read.
func quote(s string) string {
	const enough = 60
	if len(s) > enough {
		return fmt.Sprintf("%+q…", s[:enough])
	}
	return fmt.Sprintf("%+q", s)
}
