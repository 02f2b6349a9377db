package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// address is a unicast IP address that frames can be sent to.
func address() leaf[netip.Addr] {
	return leaf[netip.Addr]{
		kind:    kindText,
		example: `"192.0.2.3"`,
		parse:   parseUnicast,
		format:  netip.Addr.String,
		limits:  object{"pattern": `^[0-9A-Fa-f.:]+$`},
	}
}

// maxSourceBits is how many bits of an outer source a flow's hash may fill: 256
// addresses spread over all queues there are.
const maxSourceBits = 8

// sourcePrefix is a unicast address, or a small prefix of them.
func sourcePrefix() leaf[netip.Prefix] {
	l := prefix()
	l.example = `"192.0.2.32/28"`
	l.format = func(p netip.Prefix) string {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.String()
	}
	l.parse = func(text string) (p netip.Prefix, problem, remedy string) {
		if p, problem, remedy = parsePrefix(text); problem != "" {
			return p, problem, remedy
		}
		if bits := p.Addr().BitLen(); bits-p.Bits() > maxSourceBits {
			return netip.Prefix{}, quote(text) + " is too wide", fmt.Sprintf("write /%d or longer", bits-maxSourceBits)
		}
		if _, problem, remedy = parseUnicast(p.Addr().String()); problem != "" {
			return netip.Prefix{}, problem, remedy
		}
		return p, "", ""
	}
	return l
}

// endpoint is a unicast IP address with a TCP port. Where fallback is not
// empty it is the port that may be left out. Its pattern only tells addresses
// from other text: a full one would be long, and wrong for editors that cannot
// say what is wrong.
func endpoint(fallback string) leaf[netip.AddrPort] {
	colon := ""
	if fallback != "" {
		colon = "?"
	}
	return leaf[netip.AddrPort]{
		kind:    kindText,
		example: `"192.0.2.3:22"`,
		parse: func(text string) (e netip.AddrPort, problem, remedy string) {
			return parseEndpoint(text, fallback)
		},
		format: netip.AddrPort.String,
		limits: object{"pattern": `^([0-9.]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})` + colon + `$`},
	}
}

// listener is an address and port of this machine to listen on, empty for
// none. Without an address it is all of them.
func listener(example string) leaf[string] {
	return leaf[string]{
		kind:    kindText,
		example: strconv.Quote(example),
		parse: func(text string) (string, string, string) {
			host, port, problem, remedy := splitPort(text)
			if problem == "" && host != "" {
				_, problem, remedy = parseAddr(host)
			}
			if problem == "" {
				_, problem, remedy = parsePort(port)
			}
			if problem != "" {
				return "", problem, remedy
			}
			return text, "", ""
		},
		format: func(v string) string { return v },
		limits: object{"pattern": `^([0-9.]+|\[[0-9A-Fa-f:.]+\])?:[0-9]{1,5}$`},
	}
}

// parseEndpoint returns the address and port of a text. Equal ones are equal
// values, however they were written.
func parseEndpoint(text, fallback string) (e netip.AddrPort, problem, remedy string) {
	host, port, problem, remedy := splitPort(text)
	if problem != "" {
		return e, problem, remedy
	}
	addr, problem, remedy := parseUnicast(host)
	if problem != "" {
		return e, problem, remedy
	}
	if port == "" {
		port = fallback
	}
	if port == "" {
		return e, quote(text) + " has no port", fmt.Sprintf("write %q", netip.AddrPortFrom(addr, 22))
	}
	n, problem, remedy := parsePort(port)
	if problem != "" {
		return e, problem, remedy
	}
	return netip.AddrPortFrom(addr, n), "", ""
}

// splitPort cuts a text at the colon before its port, which may be missing. An
// IPv6 address has to stand in brackets: in 2001:db8::1:22 nobody can tell
// whether the last number is a port.
func splitPort(text string) (host, port, problem, remedy string) {
	host, port, _ = strings.Cut(text, ":")
	if rest, bracket := strings.CutPrefix(text, "["); bracket {
		var closed bool
		host, port, closed = strings.Cut(rest, "]")
		after, colon := strings.CutPrefix(port, ":")
		if !closed || port != "" && !colon {
			return "", "", quote(text) + " is not an address and port", `write one such as "[2001:db8::1]:22"`
		}
		port = after
	} else if strings.Contains(port, ":") {
		return "", "", quote(text) + " has an IPv6 address without brackets", `write it as in "[2001:db8::1]:22"`
	}
	return host, port, "", ""
}

// parsePort returns the number of a TCP port.
func parsePort(text string) (port uint16, problem, remedy string) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, quote(text) + " is not a TCP port", "write one from 1 to 65535"
	}
	return uint16(n), "", ""
}

// parseAddr returns the IP address of a text. Names are not looked up: what
// steers packets must not depend on a resolver.
func parseAddr(text string) (addr netip.Addr, problem, remedy string) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, quote(text) + " is not an IP address", "write the address itself; names are not looked up"
	case addr.Zone() != "":
		return netip.Addr{}, quote(text) + " has a zone", "use an address that is valid on every interface"
	// Two ways to write one address would be two keys in the dataplane's maps.
	case addr.Is4In6():
		return netip.Addr{}, quote(text) + " is an IPv4 address in IPv6 notation", "write " + addr.Unmap().String()
	default:
		return addr, "", ""
	}
}

// parseUnicast returns an IP address that frames can be sent to.
func parseUnicast(text string) (addr netip.Addr, problem, remedy string) {
	addr, problem, remedy = parseAddr(text)
	if problem != "" {
		return addr, problem, remedy
	}
	what := ""
	switch {
	// The dataplane would match these and never see an answer.
	case addr.IsUnspecified():
		what = "the unspecified address"
	case addr.IsLoopback():
		what = "a loopback address"
	case addr.IsMulticast():
		what = "a multicast address"
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		what = "the broadcast address"
	// IPv6 alone has one per interface; 169.254.0.0/16 is routed like any net.
	case addr.Is6() && addr.IsLinkLocalUnicast():
		what = "a link-local address"
	default:
		return addr, "", ""
	}
	return netip.Addr{}, quote(text) + " is " + what, "write a unicast address that is reached over the network"
}

// family names the IP version of an address in messages.
func family(addr netip.Addr) string {
	if addr.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
