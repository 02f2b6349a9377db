package keepalived

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// IsName says whether settings can call a node so.
func IsName(name string) bool { return nodeName.MatchString(name) }

// number is a whole number of a statement; one out of limits is a fault, and 0.
func (s *source) number(of *statement, least, most int) int {
	v, err := strconv.Atoi(of.word(1))
	if err != nil || v < least || v > most {
		s.fault(of.at, fmt.Sprintf("%s: %s is not a whole number within limits", of.keyword(), quote(of.word(1))), fmt.Sprintf("write one from %d to %d", least, most))
		return 0
	}
	return v
}

// seconds is a time of a statement, written in seconds.
func (s *source) seconds(of *statement) time.Duration {
	v, err := strconv.ParseFloat(of.word(1), 64)
	if err != nil || !(v >= 0 && v <= 1e6) {
		s.fault(of.at, fmt.Sprintf("%s: %s is not a number of seconds", of.keyword(), quote(of.word(1))), "write one from 0 to 1000000")
		return 0
	}
	return time.Duration(math.Round(v*1e6)) * time.Microsecond
}

// address is an IP address.
func (s *source) address(at position, of, t string) netip.Addr {
	a, err := netip.ParseAddr(t)
	if err != nil || a.Zone() != "" {
		s.fault(at, fmt.Sprintf("%s: %s is not an IP address", of, quote(t)), "write one such as 192.0.2.3")
		return netip.Addr{}
	}
	return a.Unmap()
}

// prefix is an IP address with the length of its network, which may be missing.
func prefix(t string) (netip.Prefix, bool) {
	if !strings.Contains(t, "/") {
		a, err := netip.ParseAddr(t)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
	}
	p, err := netip.ParsePrefix(t)
	return p, err == nil && !p.Addr().Is4In6()
}

// port is one of TCP.
func (s *source) port(of *statement, t string) int {
	v, err := strconv.ParseUint(t, 10, 16)
	if err != nil {
		s.fault(of.at, fmt.Sprintf("%s: %s is not a port", of.keyword(), quote(t)), "write one from 1 to 65535")
	}
	return int(v)
}

// within brings a time into limits, and lists it where that changes it.
func (w *writer) within(at position, what string, d, least, most time.Duration) time.Duration {
	in := min(max(d, least), most)
	if in != d {
		w.note(at, "%s of %s becomes %s, the nearest that sluice has", what, span(d), span(in))
	}
	return in
}

// span writes a time as settings do.
func span(d time.Duration) string {
	t := d.String()
	if strings.HasSuffix(t, "m0s") {
		t = strings.TrimSuffix(t, "0s")
	}
	if strings.HasSuffix(t, "h0m") {
		t = strings.TrimSuffix(t, "0m")
	}
	return t
}
