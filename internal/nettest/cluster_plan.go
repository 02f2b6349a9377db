package nettest

import (
	"net/netip"
)

// HeartbeatLink is the interface of a [Cluster]'s gateways towards each other;
// the other two are called as in a [Gateway].
const HeartbeatLink = "hb0"

// maxGateways is what the address plan of a [Cluster] holds.
const maxGateways = 3

// The networks of a [Cluster]. The last is what lies behind the outside router.
var (
	clusterExt    = outside
	clusterInt    = segment{netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("2001:db8:2::/64")}
	clusterBeyond = segment{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:51::/64")}
)

// beyondHost is the last number of the host that gateways ping outside.
const beyondHost = 22

// clusterHosts are the gateways' last numbers on ext and int; 3 is the VIP's.
var clusterHosts = [maxGateways]int{1, 2, 4}

// clusterHeartbeats are the gateways' addresses on the heartbeat link. Those of
// the first two differ in the last bit alone.
var clusterHeartbeats = [maxGateways]Pair{
	{netip.MustParseAddr("169.254.1.1"), netip.MustParseAddr("2001:db8:3::3")},
	{netip.MustParseAddr("169.254.1.0"), netip.MustParseAddr("2001:db8:3::2")},
	{netip.MustParseAddr("169.254.1.2"), netip.MustParseAddr("2001:db8:3::4")},
}

// heartbeatBits leave room for three, and make 169.254.1.0 a host's address
// where there are two.
func heartbeatBits(gateways int) (v4, v6 int) {
	if gateways == 2 {
		return 31, 64
	}
	return 24, 64
}

// heartbeatPrefixes are a gateway's addresses on the heartbeat link.
func heartbeatPrefixes(p Pair, gateways int) []netip.Prefix {
	v4, v6 := heartbeatBits(gateways)
	return []netip.Prefix{netip.PrefixFrom(p.V4, v4), netip.PrefixFrom(p.V6, v6)}
}
