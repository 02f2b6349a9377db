package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// boolean is true or false.
func boolean() leaf[bool] {
	return leaf[bool]{
		kind:    kindBool,
		example: "true",
		parse: func(text string) (bool, string, string) {
			switch text {
			case "true", "false":
				return text == "true", "", ""
			}
			return false, quote(text) + " is neither true nor false", "write true or false, in lower case"
		},
		format: strconv.FormatBool,
	}
}

// hostPrefix is a unicast address with the length of its network's prefix.
// Without one it is a network of its own.
func hostPrefix() leaf[netip.Prefix] {
	return leaf[netip.Prefix]{
		kind:    kindText,
		example: `"192.0.2.3/24"`,
		parse:   parseHostPrefix,
		format:  netip.Prefix.String,
		limits:  object{"pattern": `^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$`},
	}
}

func parseHostPrefix(text string) (p netip.Prefix, problem, remedy string) {
	host, length, sized := strings.Cut(text, "/")
	addr, problem, remedy := parseUnicast(host)
	if problem != "" {
		if local, err := netip.ParseAddr(host); err == nil && local.Is6() && local.IsLinkLocalUnicast() {
			remedy = "write a global or unique local one (fd00::/8) of the same network, which hosts can have as their router, too"
		}
		return p, problem, remedy
	}
	bits := addr.BitLen()
	if sized {
		n, err := strconv.Atoi(length)
		if err != nil || n < 1 || n > bits || strconv.Itoa(n) != length {
			return p, quote(text) + " has no length of a prefix behind the slash", "write one from 1 to " + strconv.Itoa(bits)
		}
		bits = n
	}
	p = netip.PrefixFrom(addr, bits)
	// In IPv4, networks with room for more than two hosts reserve both ends.
	if addr.Is4() && bits < 31 && (p.Masked().Addr() == addr || lastOf(p) == addr) {
		return netip.Prefix{}, quote(text) + " is an address of the network as a whole", "write one of a host"
	}
	return p, "", ""
}

// lastOf is the last address of an IPv4 network.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a)
}

// optionalAddress is an address that may be left out; none is not written.
func optionalAddress() leaf[netip.Addr] {
	l := address()
	l.format = func(a netip.Addr) string {
		if !a.IsValid() {
			return ""
		}
		return a.String()
	}
	return l
}

// orNever is a time span within limits, or 0s for what never happens.
func orNever(l leaf[time.Duration]) leaf[time.Duration] {
	parse := l.parse
	l.parse = func(text string) (time.Duration, string, string) {
		if v, err := time.ParseDuration(text); err == nil && v == 0 {
			return 0, "", ""
		}
		v, problem, remedy := parse(text)
		if problem != "" {
			remedy += ", or 0s"
		}
		return v, problem, remedy
	}
	return l
}

// virtualMAC is a word or a MAC address.
func virtualMAC() leaf[VirtualMAC] {
	return leaf[VirtualMAC]{
		kind:    kindText,
		example: string(VirtualMACAuto),
		parse: func(text string) (VirtualMAC, string, string) {
			if word := VirtualMAC(text); word == VirtualMACAuto || word == VirtualMACOff {
				return word, "", ""
			}
			const remedy = "write auto, off, or an address such as 02:00:c0:00:02:03"
			mac, err := net.ParseMAC(text)
			switch {
			case err != nil || len(mac) != 6:
				return "", quote(text) + " is not a MAC address", remedy
			case mac[0]&1 != 0:
				return "", quote(text) + " is the MAC address of a group", remedy
			case mac.String() == "00:00:00:00:00:00":
				return "", quote(text) + " is no machine's MAC address", remedy
			}
			return VirtualMAC(mac.String()), "", ""
		},
		format: func(v VirtualMAC) string { return string(v) },
		limits: object{"pattern": `^(auto|off|[0-9A-Fa-f]{2,4}([:.-][0-9A-Fa-f]{2,4}){2,5})$`},
	}
}

// argument is one word of a command.
var argument = leaf[string]{
	kind:    kindText,
	example: "/etc/sluice/notify",
	parse: func(text string) (string, string, string) {
		if text == "" || len(text) > 4096 || strings.ContainsFunc(text, control) {
			return "", quote(text) + " cannot be an argument", "write 1 to 4096 bytes without control characters"
		}
		return text, "", ""
	},
	format: func(v string) string { return v },
}
