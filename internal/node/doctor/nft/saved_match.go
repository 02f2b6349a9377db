package nft

import (
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// condition is an option that a rule asks by, in the words of nft.
func (s *saved) condition(option, op, value string) map[string]any {
	left := func(kind, key, field string) map[string]any {
		return map[string]any{kind: map[string]any{key: field}}
	}
	header := func(protocol, field string) map[string]any {
		return map[string]any{"payload": map[string]any{"protocol": protocol, "field": field}}
	}
	match := func(left map[string]any, right any, ok bool) map[string]any {
		if !ok || value == "" {
			return unknown
		}
		return map[string]any{"match": map[string]any{"op": op, "left": left, "right": right}}
	}
	switch option {
	case "-p", "--protocol":
		if n, err := strconv.ParseUint(value, 10, 8); err == nil {
			return match(left("meta", "key", "l4proto"), float64(n), n != 0) // 0 is all
		}
		return match(left("meta", "key", "l4proto"), value, value != "all")
	case "-s", "--source", "-d", "--destination":
		prefix, ok := savedPrefix(value)
		field := map[bool]string{true: "saddr", false: "daddr"}[option == "-s" || option == "--source"]
		return match(header(s.family, field), prefix, ok)
	case "-i", "--in-interface":
		return match(left("meta", "key", "iifname"), savedName(value), true)
	case "-o", "--out-interface":
		return match(left("meta", "key", "oifname"), savedName(value), true)
	case "--dport", "--destination-port", "--dports", "--destination-ports":
		ports, ok := savedPorts(value)
		return match(header("th", "dport"), ports, ok)
	case "--ctstate", "--state":
		return match(left("ct", "key", "state"), savedList(strings.ToLower(value)), true)
	case "--pkt-type":
		return match(left("meta", "key", "pkttype"), strings.ToLower(value), true)
	}
	return unknown
}

// savedName is the name of an interface, with the wildcard of nft.
func savedName(name string) string {
	if prefix, wild := strings.CutSuffix(name, "+"); wild {
		return prefix + "*"
	}
	return name
}

func savedList(text string) any {
	var list []any
	for one := range strings.SplitSeq(text, ",") {
		list = append(list, one)
	}
	return map[string]any{"set": list}
}

// savedPrefix reads an address with a length or a mask, which may have holes.
func savedPrefix(text string) (any, bool) {
	first, length, found := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(first)
	if err != nil {
		return nil, false
	}
	n := addr.BitLen()
	if found {
		if n, err = strconv.Atoi(length); err != nil {
			mask, err := netip.ParseAddr(length)
			if err != nil {
				return nil, false
			}
			var whole bool
			if n, whole = maskBits(mask.AsSlice()); !whole {
				return nil, false
			}
		}
	}
	if n < 0 || n > addr.BitLen() {
		return nil, false
	}
	return map[string]any{"prefix": map[string]any{"addr": first, "len": float64(n)}}, true
}

// maskBits is how many leading bits are set; whole is false where others are, too.
func maskBits(mask []byte) (n int, whole bool) {
	for i, b := range mask {
		ones := bits.LeadingZeros8(^b)
		n += ones
		if ones < 8 {
			return n, b<<ones == 0 && !slices.ContainsFunc(mask[i+1:], func(b byte) bool { return b != 0 })
		}
	}
	return n, true
}

// savedPorts reads numbers and ranges, with commas between.
func savedPorts(text string) (any, bool) {
	var list []any
	for one := range strings.SplitSeq(text, ",") {
		lo, hi, isRange := strings.Cut(one, ":")
		if !isRange {
			hi = lo
		}
		first, err := strconv.ParseUint(lo, 10, 16)
		last, err2 := strconv.ParseUint(hi, 10, 16)
		if err != nil || err2 != nil {
			return nil, false
		}
		list = append(list, map[string]any{"range": []any{float64(first), float64(last)}})
	}
	return map[string]any{"set": list}, true
}
