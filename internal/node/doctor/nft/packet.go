package nft

import (
	"net/netip"
	"strings"
)

// Packet is what of a packet rules may ask about.
type Packet struct {
	// In and Out are its interfaces; one of them is empty.
	In, Out string
	// From is not valid where it may be anybody.
	From, To netip.Addr
	// Protocol is that of IP: 112 for VRRP, 17 for UDP, 6 for TCP.
	Protocol uint8
	// Port is the destination's, 0 for a protocol without.
	Port uint16
	// Answered says that there are packets the other way, too, so that connection
	// tracking may know it as established.
	Answered bool
}

// answer is whether a rule is about a packet.
type answer int

const (
	no answer = iota
	maybe
	yes
)

// not turns an answer round.
func (a answer) not() answer { return yes - a }

func truth(b bool) answer {
	if b {
		return yes
	}
	return no
}

// rule says whether a rule is about the packet, and what it does with it: a verdict,
// "" for none, and where that jumps to.
func (w *walk) rule(r *rule) (hit answer, verdict, target string) {
	hit = yes
	for _, step := range r.steps {
		for word, value := range step {
			switch word {
			case "match":
				hit = min(hit, w.match(r, value))
			case "accept", "drop", "reject", "return", "queue":
				return hit, word, ""
			case "jump", "goto":
				object, _ := value.(map[string]any)
				name, _ := object["target"].(string)
				return hit, word, name
			case "vmap":
				by, v, t := w.vmap(r, value)
				return min(hit, by), v, t
			case "counter", "log", "comment", "mangle", "notrack", "set", "ct helper", "meter":
			default: // limits, and what is not known here
				hit = min(hit, maybe)
			}
			if hit == no {
				return no, "", ""
			}
		}
	}
	return hit, "", ""
}

func (w *walk) match(r *rule, value any) answer {
	object, _ := value.(map[string]any)
	op, _ := object["op"].(string)
	field, known := fieldOf(object["left"])
	if !known || op != "==" && op != "!=" && op != "in" {
		return maybe
	}
	got := w.anyOf(r, field, object["right"])
	if op == "!=" {
		got = got.not()
	}
	return min(w.has(field), got)
}

// has says whether the packet has a field at all.
func (w *walk) has(field string) answer {
	header, _, _ := strings.Cut(field, " ")
	is6 := w.packet.To.Is6()
	switch header {
	case "meta", "ct":
		return yes
	case "ip":
		return truth(!is6)
	case "ip6":
		return truth(is6)
	case "tcp":
		return truth(w.packet.Protocol == 6)
	case "udp":
		return truth(w.packet.Protocol == 17)
	case "th":
		return truth(w.packet.Port != 0)
	case "icmp", "icmpv6", "igmp", "esp", "ah", "sctp", "dccp", "udplite":
		return no
	}
	return maybe
}

// fieldOf names what a comparison's left side asks for.
func fieldOf(left any) (string, bool) {
	side, _ := left.(map[string]any)
	for _, kind := range []string{"meta", "ct"} {
		if o, ok := side[kind].(map[string]any); ok {
			key, _ := o["key"].(string)
			return kind + " " + key, key != ""
		}
	}
	if o, ok := side["payload"].(map[string]any); ok {
		protocol, _ := o["protocol"].(string)
		field, _ := o["field"].(string)
		return protocol + " " + field, field != ""
	}
	return "", false
}

// anyOf compares with each value of a right side.
func (w *walk) anyOf(r *rule, field string, right any) answer {
	best := no
	for _, v := range (Match{Rule: r.Rule, sets: w.rules.sets}).values(right) {
		if o, ok := v.(map[string]any); ok {
			if elem, ok := o["elem"].(map[string]any); ok {
				v = elem["val"]
			}
		}
		best = max(best, w.is(field, v))
	}
	return best
}

// is compares a field of the packet with a value.
func (w *walk) is(field string, v any) answer {
	p := w.packet
	switch field {
	case "meta iifname", "meta iif":
		return isName(p.In, v)
	case "meta oifname", "meta oif":
		return isName(p.Out, v)
	case "meta l4proto", "ip protocol", "ip6 nexthdr":
		return isProtocol(p.Protocol, v)
	case "meta nfproto", "meta protocol":
		family := map[bool][]string{true: {"ipv4", "ip"}, false: {"ipv6", "ip6"}}[p.To.Is4()]
		return truth(v == family[0] || v == family[1])
	case "meta pkttype":
		return truth(v == "multicast" && p.To.IsMulticast() || v == "host" && !p.To.IsMulticast())
	case "ip daddr", "ip6 daddr", "ip saddr", "ip6 saddr":
		return p.address(field, v)
	case "tcp dport", "udp dport", "th dport":
		return truth(holdsPort(v, p.Port))
	case "ct state":
		return p.state(v)
	}
	return maybe
}

func (p Packet) address(field string, v any) answer {
	addr := p.To
	if strings.HasSuffix(field, "saddr") {
		if addr = p.From; !addr.IsValid() {
			return maybe
		}
	}
	// A prefix of length 0 names nobody there, but holds everybody.
	if o, ok := v.(map[string]any); ok {
		if prefix, ok := o["prefix"].(map[string]any); ok && prefix["len"] == 0.0 {
			return yes
		}
	}
	return truth(holdsAddr(v, addr))
}

func (p Packet) state(v any) answer {
	switch v {
	case "new", "untracked":
		return maybe
	case "established":
		if p.Answered {
			return maybe
		}
	}
	return no
}

func isName(name string, v any) answer {
	text, ok := v.(string)
	if !ok {
		return maybe // an index
	}
	if prefix, wild := strings.CutSuffix(text, "*"); wild {
		return truth(name != "" && strings.HasPrefix(name, prefix))
	}
	return truth(name == text)
}

// protocols are the names that nft may print.
var protocols = map[string]float64{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58, "vrrp": 112, "carp": 112}

func isProtocol(number uint8, v any) answer {
	if o, ok := v.(map[string]any); ok {
		if lo, hi, ok := ends(o); ok {
			first, okLo := lo.(float64)
			last, okHi := hi.(float64)
			return truth(okLo && okHi && first <= float64(number) && float64(number) <= last)
		}
		return maybe
	}
	n, isNumber := v.(float64)
	if name, ok := v.(string); ok {
		n, isNumber = protocols[name], true
	}
	return truth(isNumber && n == float64(number))
}

// vmap looks a verdict up.
func (w *walk) vmap(r *rule, value any) (hit answer, verdict, target string) {
	object, _ := value.(map[string]any)
	field, known := fieldOf(object["key"])
	if !known {
		return maybe, "queue", ""
	}
	for _, entry := range (Match{Rule: r.Rule, sets: w.rules.sets}).values(object["data"]) {
		pair, _ := entry.([]any)
		if len(pair) != 2 {
			return maybe, "queue", ""
		}
		is := w.anyOf(r, field, pair[0])
		if is == no {
			continue
		}
		what, _ := pair[1].(map[string]any)
		for word, v := range what {
			o, _ := v.(map[string]any)
			name, _ := o["target"].(string)
			if is == maybe && word != "accept" {
				word = "queue" // whatever it is, it is not certain
			}
			return min(is, w.has(field)), word, name
		}
	}
	return no, "", ""
}
