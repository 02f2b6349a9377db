package nexthop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Span is a range of TCP ports, both ends included. It is empty where Lo > Hi;
// the empty span of PortSpans is {1, 0}.
type Span struct{ Lo, Hi uint16 }

// Size returns how many ports the span holds.
func (s Span) Size() int {
	if s.Lo > s.Hi {
		return 0
	}
	return int(s.Hi) - int(s.Lo) + 1
}

// firstPort is the lowest source port towards a backend. Those below belong to
// services, and some servers trust a client that comes from one.
const firstPort = 1024

const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

// PortSpans returns the source ports that XDP may use towards backends: what
// lies below and above net.ipv4.ip_local_port_range of the calling thread's
// namespace, from 1024 to 65535. The node's own connections take their ports
// from inside that range, so on an address that both use neither steals the
// other's answers. The sysctl holds for IPv6, too.
//
// The error says so where nothing is left outside.
func PortSpans() (below, above Span, err error) {
	text, err := os.ReadFile(portRange)
	if err != nil {
		return Span{}, Span{}, fmt.Errorf("read local port range: %v", err)
	}
	return portSpans(string(text))
}

func portSpans(text string) (below, above Span, err error) {
	local, err := parseRange(text)
	if err != nil {
		return Span{}, Span{}, err
	}
	below, above = Span{1, 0}, Span{1, 0}
	if local.Lo > firstPort {
		below = Span{firstPort, local.Lo - 1}
	}
	if local.Hi < 65535 {
		above = Span{max(local.Hi+1, firstPort), 65535}
	}
	if below.Size()+above.Size() == 0 {
		return Span{}, Span{}, fmt.Errorf("net.ipv4.ip_local_port_range %d-%d leaves no source port for flows to backends; "+
			"narrow it, as with \"sysctl -w net.ipv4.ip_local_port_range='32768 60999'\"", local.Lo, local.Hi)
	}
	return below, above, nil
}

// parseRange reads "32768\t60999\n".
func parseRange(text string) (Span, error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return Span{}, fmt.Errorf("read local port range %q: want two numbers", text)
	}
	var ends [2]uint16
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return Span{}, fmt.Errorf("read local port range %q: %q is no port", text, field)
		}
		ends[i] = uint16(n)
	}
	if ends[0] > ends[1] {
		return Span{}, fmt.Errorf("read local port range %q: the first port is above the last", text)
	}
	return Span{ends[0], ends[1]}, nil
}
