package vrrp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"sluice/vip/auth"
)

// The parts of an advert.
const (
	headerSize   = 8
	passwordSize = 8 // version 2's authentication data, zero and present
	atChecksum   = 6
	afterSum     = 8
	advertType   = 1
	maxAddresses = 255
)

// size is how long an advert is.
func size(version uint8, v6 bool, addresses int) int {
	n := headerSize + 4*addresses
	if v6 {
		n = headerSize + 16*addresses
	}
	if version == 2 {
		n += passwordSize
	}
	return n
}

// Size is how many bytes of payload the advert makes: with the IP header it must
// fit the interface's MTU, because adverts in fragments are nowhere accepted.
func (a *Advert) Size(signed bool) int {
	n := size(a.Version, len(a.Addresses) > 0 && a.Addresses[0].Is6(), len(a.Addresses))
	if signed {
		n += auth.TrailerSize
	}
	return n
}

// Append appends an advert to b as the payload of an IP packet of this path. It
// is signed unless signer is nil. An error says which field is out of its range;
// b is then returned as it was.
func Append(b []byte, a *Advert, path Path, d Dialect, signer *auth.Signer) ([]byte, error) {
	if err := a.check(path); err != nil {
		return b, fmt.Errorf("make advert of VRID %d: %v", a.VRID, err)
	}
	start := len(b)
	b = append(b, a.Version<<4|advertType, a.VRID, a.Priority, uint8(len(a.Addresses))) //nolint:gosec // checked
	if a.Version == 2 {
		b = append(b, 0, uint8(a.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/(10*time.Millisecond))) //nolint:gosec // checked
	}
	b = append(b, 0, 0)
	for _, address := range a.Addresses {
		b = append(b, address.AsSlice()...)
	}
	if a.Version == 2 {
		b = append(b, make([]byte, passwordSize)...)
	}
	length := len(b) - start
	if signer != nil {
		head := pseudoHeader(path.Source, a.Version, a.VRID)
		b = signer.Append(b, head[:], b[start:])
	}
	over := covered(path, b[start:], length)
	binary.BigEndian.PutUint16(b[start+atChecksum:], ^fold(sum(seed(a.Version, d, path, len(over)), over)))
	return b, nil
}

// check says what cannot be sent.
func (a *Advert) check(path Path) error {
	v6 := path.Source.Is6()
	switch {
	case a.Version != 2 && a.Version != 3:
		return fmt.Errorf("version %d: give 2 or 3", a.Version)
	case a.Version == 2 && v6:
		return fmt.Errorf("version 2 has no IPv6: give version 3")
	case a.VRID == 0:
		return fmt.Errorf("VRID 0: give 1 to 255")
	case !path.Source.IsValid() || !path.Destination.IsValid() || path.Destination.Is6() != v6:
		return fmt.Errorf("from %v to %v: give two addresses of one family", path.Source, path.Destination)
	case len(a.Addresses) == 0 || len(a.Addresses) > maxAddresses:
		return fmt.Errorf("%d addresses: give 1 to %d", len(a.Addresses), maxAddresses)
	}
	for _, address := range a.Addresses {
		if !mayBeVirtual(address) || address.Is6() != v6 {
			return fmt.Errorf("address %v in a packet from %v: give unicast addresses of its family", address, path.Source)
		}
	}
	return checkInterval(a.Version, a.Interval)
}

// checkInterval says whether a version can express an interval.
func checkInterval(version uint8, interval time.Duration) error {
	unit, most := MinInterval, MaxInterval
	if version == 2 {
		unit, most = MinIntervalV2, MaxIntervalV2
	}
	if interval < unit || interval > most || interval%unit != 0 {
		return fmt.Errorf("advert interval %v: version %d has multiples of %v up to %v", interval, version, unit, most)
	}
	return nil
}

// mayBeVirtual says whether a virtual router can have an address.
func mayBeVirtual(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast()
}
