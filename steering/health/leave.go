package health

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"time"
)

// goodbye ends a check at an SSH server: our own identification and a
// DISCONNECT "by application" (RFC 4253 §11.1), which any party may send at any
// time.
//
// It spares the backend's log: OpenSSH writes "Received disconnect from …:11:
// sluice health check" at info, whereas a bare close or reset is "error:
// kex_exchange_identification: …", which fail2ban's stricter modes count as an
// attack. It does not spare PerSourcePenalties, see pace.
var goodbye = append([]byte(ownIdentification), parting...)

// ownIdentification is how checks name themselves, parting the DISCONNECT alone.
const ownIdentification = "SSH-2.0-Sluice_health\r\n"

var parting = disconnect("sluice health check")

// disconnect is the packet, unencrypted: before a key exchange there is nothing
// to encrypt it with.
func disconnect(description string) []byte {
	const (
		msgDisconnect = 1
		byApplication = 11
		block         = 8
	)
	payload := binary.BigEndian.AppendUint32([]byte{msgDisconnect}, byApplication)
	payload = appendString(payload, description)
	payload = appendString(payload, "") // language
	// Length, its own length byte and the rest fill whole blocks; at least four
	// bytes are padding.
	padding := block - (4+1+len(payload))%block
	if padding < 4 {
		padding += block
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(packet, byte(padding))
	packet = append(packet, payload...)
	return append(packet, make([]byte, padding)...)
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

const (
	// leaveFor is how long a server may take to close its side.
	leaveFor = 250 * time.Millisecond
	// leaveBytes is more than a server's offer of algorithms.
	leaveBytes = 16 << 10
)

// leave sends last words, if any, and closes so that they arrive: a socket
// closed with bytes unread sends a reset, which discards what the other side
// has not read yet. It returns the identification of a server that sends one
// unasked, for checks that did not read it.
func leave(conn net.Conn, words []byte) string {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(leaveFor))
	if len(words) > 0 {
		// The server closes first, and so the minute of TIME_WAIT is its. Here
		// it would keep a port of the address that checks are dialled from.
		if _, err := conn.Write(words); err != nil {
			return ""
		}
	} else if half, ok := conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return ""
	}
	first := make([]byte, maxIdentification)
	n, err := io.ReadFull(conn, first)
	if err == nil {
		// Whoever goes on, or does not close, is left in the end.
		_, _ = io.CopyN(io.Discard, conn, leaveBytes)
	}
	line, _, whole := strings.Cut(string(first[:n]), "\n")
	line = strings.TrimSuffix(line, "\r")
	if !whole || checkIdentification(line, len(line)) != nil {
		return ""
	}
	return printable(line)
}
