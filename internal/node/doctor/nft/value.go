package nft

import "net/netip"

// holdsAddr says whether an address, prefix or range names the address. A
// prefix of length 0 names everybody, and so nobody.
func holdsAddr(value any, addr netip.Addr) bool {
	switch v := value.(type) {
	case string:
		a, err := netip.ParseAddr(v)
		return err == nil && a == addr
	case map[string]any:
		if p, ok := v["prefix"].(map[string]any); ok {
			first, _ := p["addr"].(string)
			length, _ := p["len"].(float64)
			a, err := netip.ParseAddr(first)
			return err == nil && length >= 1 && netip.PrefixFrom(a, int(length)).Contains(addr)
		}
		if lo, hi, ok := ends(v); ok {
			first, _ := lo.(string)
			last, _ := hi.(string)
			a, errA := netip.ParseAddr(first)
			b, errB := netip.ParseAddr(last)
			return errA == nil && errB == nil && a.BitLen() == addr.BitLen() && a.Compare(addr) <= 0 && addr.Compare(b) <= 0
		}
	}
	return false
}

// services are the port names that nft may print; it does so only on request.
var services = map[string]float64{"ssh": 22}

// holdsPort is holdsAddr for ports: a number, a name, or a range.
func holdsPort(value any, port uint16) bool {
	number := func(v any) (float64, bool) {
		if name, ok := v.(string); ok {
			n, known := services[name]
			return n, known
		}
		n, ok := v.(float64)
		return n, ok
	}
	if n, ok := number(value); ok {
		return n == float64(port)
	}
	if object, ok := value.(map[string]any); ok {
		if lo, hi, ok := ends(object); ok {
			first, okLo := number(lo)
			last, okHi := number(hi)
			return okLo && okHi && first <= float64(port) && float64(port) <= last
		}
	}
	return false
}

// ends opens a range, which nft prints as a list of two.
func ends(object map[string]any) (lo, hi any, ok bool) {
	list, _ := object["range"].([]any)
	if len(list) != 2 {
		return nil, nil, false
	}
	return list[0], list[1], true
}
