package vips

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"
)

// leases are the addresses that the kernel told of, by the message without the time
// that is left: an election renews the addresses it holds some times a second, and
// nothing follows from that.
type leases map[string]bool

// maxLeases bounds what is remembered; beyond it all is forgotten.
const maxLeases = 4096

// renewals notes messages, and says whether they tell of nothing but addresses that
// were known and have more time now.
func (l leases) renewals(messages []syscall.NetlinkMessage) bool {
	only := true
	for _, m := range messages {
		key, isAddress := leaseKey(m)
		switch {
		case !isAddress:
			only = false
		case m.Header.Type == unix.RTM_DELADDR:
			delete(l, key)
			only = false
		case !l[key]:
			if len(l) >= maxLeases {
				clear(l)
			}
			l[key] = true
			only = false
		}
	}
	return only && len(messages) > 0
}

// leaseKey is an address message without struct ifa_cacheinfo.
func leaseKey(m syscall.NetlinkMessage) (string, bool) {
	if m.Header.Type != unix.RTM_NEWADDR && m.Header.Type != unix.RTM_DELADDR || len(m.Data) < unix.SizeofIfAddrmsg {
		return "", false
	}
	key := append([]byte(nil), m.Data[:unix.SizeofIfAddrmsg]...)
	for rest := m.Data[unix.SizeofIfAddrmsg:]; len(rest) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(rest))
		if size < unix.SizeofRtAttr || size > len(rest) {
			return "", false
		}
		if binary.NativeEndian.Uint16(rest[2:]) != unix.IFA_CACHEINFO {
			key = append(key, rest[:size]...)
		}
		rest = rest[min(len(rest), (size+3)&^3):]
	}
	return string(key), true
}
