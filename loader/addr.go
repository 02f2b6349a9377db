package loader

import (
	"net/netip"
	"time"
)

// The maps hold every address as 16 bytes, IPv4 mapped, and every port in
// network order.

func toAddr(a netip.Addr) bpfAddr {
	return bpfAddr{B: a.As16()}
}

func fromAddr(a bpfAddr) netip.Addr {
	return netip.AddrFrom16(a.B).Unmap()
}

// swap16 turns a port between network and host order.
func swap16(p uint16) uint16 {
	return p<<8 | p>>8
}

func fromAddrPort(a bpfAddr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(fromAddr(a), swap16(port))
}

// tickShift makes a tick, the programs' unit of time, of nanoseconds.
const tickShift = 30

// ticks rounds up: a lifetime is never shorter than asked for.
func ticks(d time.Duration) uint32 {
	return uint32((d + 1<<tickShift - 1) >> tickShift)
}

func fromTicks(t uint32) time.Duration {
	return time.Duration(t) << tickShift
}
