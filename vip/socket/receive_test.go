package socket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCutIPv4(t *testing.T) {
	packet := func(change func([]byte)) []byte {
		b := append(make([]byte, 20), "payload"...)
		b[0], b[8] = 0x45, 254
		copy(b[16:], []byte{224, 0, 0, 18})
		change(b)
		return b
	}
	for _, c := range []struct {
		name    string
		packet  []byte
		payload string
		err     error
	}{
		{"plain", packet(func([]byte) {}), "payload", nil},
		{"options", packet(func(b []byte) { b[0] = 0x46 }), "oad", nil},
		{"nothing behind", packet(func([]byte) {})[:20], "", nil},
		{"short", packet(func([]byte) {})[:19], "", ErrOdd},
		{"header too short", packet(func(b []byte) { b[0] = 0x44 }), "", ErrOdd},
		{"header too long", packet(func(b []byte) { b[0] = 0x4f }), "", ErrOdd},
		{"another version", packet(func(b []byte) { b[0] = 0x65 }), "", ErrOdd},
		{"empty", nil, "", ErrOdd},
	} {
		m := Message{Payload: c.packet}
		err := m.cutIPv4()
		if !errors.Is(err, c.err) || err == nil && (string(m.Payload) != c.payload || m.TTL != 254 || m.To != netip.MustParseAddr("224.0.0.18")) {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
	}
}

// told is a control message.
func told(level, kind int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	binary.NativeEndian.PutUint32(b[8:], uint32(level))
	binary.NativeEndian.PutUint32(b[12:], uint32(kind))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte{0x45, 0}, told(unix.IPPROTO_IP, unix.IP_TTL, []byte{255, 0, 0, 0}))
	f.Add([]byte{0x45, 0}, told(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 12)))
	f.Add(bytes.Repeat([]byte{0x4f}, 60), told(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, make([]byte, 20)))
	f.Add(bytes.Repeat([]byte{0x46}, 24), told(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, []byte{1}))
	f.Fuzz(func(t *testing.T, packet, oob []byte) {
		m := Message{Payload: packet}
		if err := m.control(oob); err != nil && !errors.Is(err, ErrOdd) {
			t.Errorf("control: %v", err)
		}
		if err := m.cutIPv4(); err == nil && (m.TTL > 255 || len(m.Payload) > len(packet)-20) {
			t.Errorf("%+v of % x", m, packet)
		}
	})
}
