package nettest

import (
	"fmt"
	"net/netip"
)

// Last numbers of the addresses of a [Gateway], the same in both families.
const (
	gatewayHost = 1
	vipHost     = 3
	backendHost = 11 // of the first backend
	clientHost  = 100
	routerHost  = 254 // the switch
)

// segment is one of the two networks of a [Gateway].
type segment struct{ v4, v6 netip.Prefix }

var (
	outside = segment{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:1::/64")}
	inside  = segment{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8:2::/64")}
)

// DefaultVIPs returns the VIPs of a [Gateway] whose options name none, IPv4's
// first: 192.0.2.3 and 2001:db8:1::3.
func DefaultVIPs() []netip.Addr { return []netip.Addr{outside.host4(vipHost), outside.host6(vipHost)} }

func (s segment) host4(number int) netip.Addr {
	a := s.v4.Addr().As4()
	a[3] = byte(number)
	return netip.AddrFrom4(a)
}

// host6 writes the number in decimal digits, so that it looks like its IPv4 twin.
func (s segment) host6(number int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("%s%d", s.v6.Addr(), number))
}

// pair is a host's address in both families.
func (s segment) pair(number int) Pair { return Pair{V4: s.host4(number), V6: s.host6(number)} }

func (s segment) holds(a netip.Addr) bool { return s.v4.Contains(a) || s.v6.Contains(a) }

// prefixes are a host's addresses with the lengths of their networks.
func (s segment) prefixes(number int) []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(s.host4(number), s.v4.Bits()),
		netip.PrefixFrom(s.host6(number), s.v6.Bits()),
	}
}
