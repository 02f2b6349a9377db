package ping

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Types of ICMP messages (RFC 792, RFC 4443).
const (
	request4 = 8
	reply4   = 0
	request6 = 128
	reply6   = 129
)

// echoLength is that of type, code, checksum, id, sequence and nonce.
const echoLength = 8 + nonceLength

// newEcho draws an echo.
func newEcho(seq uint16) echo {
	e := echo{seq: seq}
	// It never fails: the program ends if there is no randomness.
	_, _ = rand.Read(e.nonce[:])
	return e
}

// request is an echo request to a host. The kernel fills in ICMPv6's checksum.
func request(to netip.Addr, id uint16, e echo) []byte {
	b := make([]byte, echoLength)
	b[0] = request6
	if to.Is4() {
		b[0] = request4
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], e.seq)
	copy(b[8:], e.nonce[:])
	if to.Is4() {
		binary.BigEndian.PutUint16(b[2:], ^sum(b))
	}
	return b
}

// reply reads an echo reply with our id; ok is false for all else. The kernel has
// checked ICMPv6's checksum.
func reply(b []byte, domain int, id uint16) (e echo, ok bool) {
	kind := byte(reply6)
	if domain == unix.AF_INET {
		kind = reply4
	}
	if len(b) != echoLength || b[0] != kind || b[1] != 0 || binary.BigEndian.Uint16(b[4:]) != id {
		return e, false
	}
	if domain == unix.AF_INET && sum(b) != 0xffff {
		return e, false
	}
	e.seq = binary.BigEndian.Uint16(b[6:])
	copy(e.nonce[:], b[8:])
	return e, true
}

// sum is the Internet checksum before it is inverted (RFC 1071), of an even
// number of bytes.
func sum(b []byte) uint16 {
	total := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		total += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// filter lets only echo replies with our id into the socket, so that other
// ICMP, above all a flood of it, does not push answers out.
func filter(domain int, id uint16) []unix.SockFilter {
	kind, load := uint32(reply6), uint16(unix.BPF_ABS)
	var program []unix.SockFilter
	if domain == unix.AF_INET {
		// The message begins behind an IPv4 header of variable length.
		kind, load = reply4, unix.BPF_IND
		program = append(program, unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH})
	}
	return append(program,
		unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | load, K: 0},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: kind},
		unix.SockFilter{Code: unix.BPF_LD | unix.BPF_H | load, K: 4},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(id)},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0})
}
