package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Guard is who may not come in, beside those that operators ban.
type Guard struct {
	// Deny may send nothing to a virtual address; Exempt is never kept out, not
	// by Deny and not by a ban. At most MaxPrefixes each, with no bits set
	// behind the prefix and none twice.
	Deny, Exempt []netip.Prefix
	// SYNPerClient is how many connections a client, an IPv4 address or an IPv6
	// /64, may begin; zero for any number.
	SYNPerClient Rate
	// FlowsPerClient is how many a client may have open, 1 to 1000000; 0 for
	// any number.
	FlowsPerClient int
	// Challenge is whether unknown clients must prove their address while more
	// handshakes begin than can be kept.
	Challenge Challenge
}

// Rate is a number of events in a time. The zero Rate means no limit.
type Rate struct {
	Events int           // 1 to 1000000
	Per    time.Duration // a second, a minute or an hour
}

// Challenge says when unknown clients must prove their address.
type Challenge string

// When unknown clients must prove their address.
const (
	ChallengeAuto Challenge = "auto" // while more handshakes begin than can be kept
	ChallengeOff  Challenge = "off"  // never
)

var guardShape = record[Guard]{
	noun:     "a mapping about the guard",
	doc:      "Who may not come in.",
	defaults: defaults.Guard,
	fields: []field[Guard]{
		key("deny", "Prefixes that may send nothing to a virtual address.",
			func(g *Guard) *[]netip.Prefix { return &g.Deny }, prefixes).otherwise("none"),
		key("exempt", "Prefixes that nothing keeps out, neither deny nor a ban.",
			func(g *Guard) *[]netip.Prefix { return &g.Exempt }, prefixes).otherwise("none"),
		key("syn_per_client", "How many connections a client (an IPv4 address, an IPv6 /64) may begin: 50/s, 300/m, 1000/h.",
			func(g *Guard) *Rate { return &g.SYNPerClient }, rate()).otherwise("any number"),
		key("flows_per_client", "How many connections a client may have open.",
			func(g *Guard) *int { return &g.FlowsPerClient }, optional(integer(1, 1000000))).otherwise("any number"),
		key("challenge", "Whether unknown clients must prove their address while more handshakes begin than can be kept: auto or off.",
			func(g *Guard) *Challenge { return &g.Challenge }, choice(ChallengeAuto, ChallengeOff)),
	},
}

var prefixes = list[netip.Prefix]{of: prefix(), noun: "prefixes", most: MaxPrefixes}

// prefix is a network, or a single address.
func prefix() leaf[netip.Prefix] {
	return leaf[netip.Prefix]{
		kind:    kindText,
		example: `"192.0.2.0/24"`,
		parse:   parsePrefix,
		format:  netip.Prefix.String,
		limits:  object{"pattern": `^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$`},
	}
}

// parsePrefix refuses bits behind the prefix: whoever wrote 192.0.2.7/24 means
// one of two things.
func parsePrefix(text string) (p netip.Prefix, problem, remedy string) {
	if !strings.Contains(text, "/") {
		addr, problem, remedy := parseAddr(text)
		if problem != "" {
			return p, problem, remedy
		}
		return netip.PrefixFrom(addr, addr.BitLen()), "", ""
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, quote(text) + " is not a network", "write one such as 192.0.2.0/24, or a single address"
	case p.Addr().Is4In6():
		return netip.Prefix{}, quote(text) + " is an IPv4 network in IPv6 notation", "write it in dots"
	case p.Masked() != p:
		return netip.Prefix{}, fmt.Sprintf("%s has bits behind the first %d", quote(text), p.Bits()),
			fmt.Sprintf("write %s, or %s for that one address", p.Masked(), p.Addr())
	default:
		return p, "", ""
	}
}

// units are the times a rate may be given for.
var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// rate is a number of events in a time; the zero value is not written.
func rate() leaf[Rate] {
	return leaf[Rate]{
		kind:    kindText,
		example: "50/s",
		parse:   parseRate,
		format:  Rate.String,
		limits:  object{"pattern": `^[1-9][0-9]{0,6}/[smh]$`},
	}
}

func parseRate(text string) (r Rate, problem, remedy string) {
	const help = "write one such as 50/s, 300/m or 1000/h, up to a million"
	events, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(events)
	per, known := units[unit]
	if err != nil || !known || strconv.Itoa(n) != events {
		return r, quote(text) + " is not a number in a time", help
	}
	if n < 1 || n > 1000000 {
		return r, quote(text) + " is out of limits", help
	}
	return Rate{n, per}, "", ""
}

// String is how a file has it, "" for no limit.
func (r Rate) String() string {
	for unit, per := range units {
		if r.Per == per {
			return fmt.Sprintf("%d/%s", r.Events, unit)
		}
	}
	return ""
}

// optional is a number that may be left out; 0 is not written.
func optional(l leaf[int]) leaf[int] {
	format := l.format
	l.format = func(v int) string {
		if v == 0 {
			return ""
		}
		return format(v)
	}
	return l
}

// guard checks the prefixes. That one is denied and exempt is no fault: the
// smaller is meant as the exception.
func (c *checker) guard() {
	g := &c.s.Guard
	for name, list := range map[string][]netip.Prefix{"deny": g.Deny, "exempt": g.Exempt} {
		c.noRepeats(path("guard").key(name), len(list), func(i int) string {
			if !list[i].IsValid() {
				return ""
			}
			return list[i].String()
		})
	}
}
