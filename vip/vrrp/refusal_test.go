package vrrp_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"sluice/vip/auth"
	"sluice/vip/vrrp"
)

// find returns a vector by its name.
func find(t testing.TB, name string) vector {
	t.Helper()
	for _, v := range vectors(t) {
		if v.name == name {
			return v
		}
	}
	t.Fatalf("no vector %s", name)
	return vector{}
}

// mend makes the checksum of an IPv4 payload right again, without pseudo header.
func mend(b []byte) {
	b[6], b[7] = 0, 0
	var acc uint32
	for i := 0; i < len(b); i += 2 {
		acc += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for acc > 0xffff {
		acc = acc&0xffff + acc>>16
	}
	binary.BigEndian.PutUint16(b[6:], ^uint16(acc))
}

// F13: each rule of reception by a packet that breaks only this one.
func TestRefusals(t *testing.T) {
	set := func(at int, value byte) func(*vrrp.Packet) {
		return func(p *vrrp.Packet) { p.Payload[at] = value; mend(p.Payload) }
	}
	for name, row := range map[string]struct {
		of    string
		with  func(*vrrp.Packet)
		rules vrrp.Rules
		want  vrrp.Refusal
	}{
		"untouched":              {"v3_ipv4_plain", func(*vrrp.Packet) {}, vrrp.Rules{}, vrrp.Accepted},
		"TTL 254":                {"v3_ipv4_plain", func(p *vrrp.Packet) { p.HopLimit = 254 }, vrrp.Rules{}, vrrp.HopLimitTooLow},
		"TTL 0":                  {"v3_ipv4_plain", func(p *vrrp.Packet) { p.HopLimit = 0 }, vrrp.Rules{}, vrrp.HopLimitTooLow},
		"hop limit 254":          {"v3_ipv6", func(p *vrrp.Packet) { p.HopLimit = 254 }, vrrp.Rules{}, vrrp.HopLimitTooLow},
		"TTL as low as allowed":  {"v3_ipv4_plain", func(p *vrrp.Packet) { p.HopLimit = 250 }, vrrp.Rules{MinHopLimit: 250}, vrrp.Accepted},
		"TTL lower than allowed": {"v3_ipv4_plain", func(p *vrrp.Packet) { p.HopLimit = 249 }, vrrp.Rules{MinHopLimit: 250}, vrrp.HopLimitTooLow},
		"empty":                  {"v3_ipv4_plain", func(p *vrrp.Packet) { p.Payload = nil }, vrrp.Rules{}, vrrp.Truncated},
		"version 1":              {"v3_ipv4_plain", set(0, 0x11), vrrp.Rules{}, vrrp.UnknownVersion},
		"version 4":              {"v3_ipv4_plain", set(0, 0x41), vrrp.Rules{}, vrrp.UnknownVersion},
		"type 0":                 {"v3_ipv4_plain", set(0, 0x30), vrrp.Rules{}, vrrp.UnknownType},
		"type 2":                 {"v3_ipv4_plain", set(0, 0x32), vrrp.Rules{}, vrrp.UnknownType},
		"VRID 0":                 {"v3_ipv4_plain", set(1, 0), vrrp.Rules{}, vrrp.VRIDZero},
		"count 1 of 2":           {"v3_ipv4_plain", set(3, 1), vrrp.Rules{}, vrrp.TrailingBytes},
		"count 3 of 2":           {"v3_ipv4_plain", set(3, 3), vrrp.Rules{}, vrrp.Truncated},
		"count 0": {"v3_ipv4_plain", func(p *vrrp.Packet) {
			p.Payload = p.Payload[:8]
			set(3, 0)(p)
		}, vrrp.Rules{}, vrrp.CountZero},
		"interval 0":          {"v3_ipv4_plain", set(5, 0), vrrp.Rules{}, vrrp.IntervalZero},
		"interval 0, v2":      {"v2", set(5, 0), vrrp.Rules{}, vrrp.IntervalZero},
		"reserved bits":       {"v3_ipv4_plain", set(4, 0xf0), vrrp.Rules{}, vrrp.Accepted},
		"password":            {"v2", set(4, 1), vrrp.Rules{}, vrrp.AuthPassword},
		"IP-AH":               {"v2", set(4, 2), vrrp.Rules{}, vrrp.AuthType},
		"v2 without password": {"v2", func(p *vrrp.Packet) { p.Payload = p.Payload[:20]; mend(p.Payload) }, vrrp.Rules{}, vrrp.Truncated},
		"v2 in IPv6":          {"v3_ipv6", func(p *vrrp.Packet) { p.Payload[0] = 0x21 }, vrrp.Rules{}, vrrp.AddressFamily},
		"IPv4 to IPv6":        {"v3_ipv4_plain", func(p *vrrp.Packet) { p.Destination = vrrp.Group6 }, vrrp.Rules{}, vrrp.AddressFamily},
		"from nowhere":        {"v3_ipv4_plain", func(p *vrrp.Packet) { p.Source = netip.Addr{} }, vrrp.Rules{}, vrrp.AddressFamily},
		"mapped addresses": {"v3_ipv4_plain", func(p *vrrp.Packet) {
			p.Source, p.Destination = netip.AddrFrom16(p.Source.As16()), netip.AddrFrom16(p.Destination.As16())
		}, vrrp.Rules{}, vrrp.Accepted},
		"unspecified address": {"v3_ipv4_unicast", func(p *vrrp.Packet) { clear(p.Payload[8:12]); mend(p.Payload) }, vrrp.Rules{}, vrrp.BadAddress},
		"multicast address":   {"v3_ipv4_unicast", set(8, 224), vrrp.Rules{}, vrrp.BadAddress},
		"IPv4 read as IPv6":   {"v3_ipv4_plain", func(p *vrrp.Packet) { p.Path = path("fe80::1", "ff02::12") }, vrrp.Rules{}, vrrp.Truncated},
	} {
		p := find(t, row.of).packet()
		row.with(&p)
		r, got := vrrp.Parse(p, row.rules)
		if got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
		if got != vrrp.Accepted && (r.Priority != 0 || r.Interval != 0 || r.Addresses != nil || r.Signed()) {
			t.Errorf("%s: refused, but tells %+v", name, r)
		}
	}
}

// Each single bit counts, and each length but the advert's and with a trailer.
func TestDamage(t *testing.T) {
	for _, v := range vectors(t) {
		covered := len(v.payload)
		if v.signed() && v.path.Source.Is4() {
			covered -= auth.TrailerSize
		}
		for bit := range 8 * covered {
			p := v.packet()
			p.Payload[bit/8] ^= 1 << (bit % 8)
			if _, refusal := vrrp.Parse(p, vrrp.Rules{}); refusal == vrrp.Accepted {
				t.Errorf("%s: took it with bit %d of byte %d flipped", v.name, bit%8, bit/8)
			}
		}
		for n := range len(v.payload) {
			p := v.packet()
			p.Payload = p.Payload[:n]
			_, refusal := vrrp.Parse(p, vrrp.Rules{})
			// IPv4's checksum leaves the trailer out, so that without it there is
			// an unsigned advert.
			stripped := v.signed() && n == len(v.payload)-auth.TrailerSize
			if refusal == vrrp.Accepted && !stripped {
				t.Errorf("%s: took the first %d bytes", v.name, n)
			}
		}
		p := v.packet()
		p.Payload = append(p.Payload, 0)
		if _, refusal := vrrp.Parse(p, vrrp.Rules{}); refusal != vrrp.TrailingBytes {
			t.Errorf("%s: %v with a byte more", v.name, refusal)
		}
	}
}

func TestRefusalNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range vrrp.Refusals {
		if r.String() == "" || seen[r.String()] || (r.Advice() == "") != (r == vrrp.Accepted) {
			t.Errorf("refusal %d: %q, %q", r, r, r.Advice())
		}
		seen[r.String()] = true
	}
}

// What would be refused is not sent.
func TestAppendRefuses(t *testing.T) {
	good := find(t, "v3_ipv4_plain")
	for name, change := range map[string]func(*vrrp.Advert, *vrrp.Path){
		"version 1":          func(a *vrrp.Advert, _ *vrrp.Path) { a.Version = 1 },
		"version 4":          func(a *vrrp.Advert, _ *vrrp.Path) { a.Version = 4 },
		"version 2 in IPv6":  func(a *vrrp.Advert, p *vrrp.Path) { a.Version = 2; *p = path("fe80::1", "ff02::12") },
		"VRID 0":             func(a *vrrp.Advert, _ *vrrp.Path) { a.VRID = 0 },
		"no interval":        func(a *vrrp.Advert, _ *vrrp.Path) { a.Interval = 0 },
		"negative interval":  func(a *vrrp.Advert, _ *vrrp.Path) { a.Interval = -time.Second },
		"9 ms":               func(a *vrrp.Advert, _ *vrrp.Path) { a.Interval = 9 * time.Millisecond },
		"15 ms":              func(a *vrrp.Advert, _ *vrrp.Path) { a.Interval = 15 * time.Millisecond },
		"40.96 s":            func(a *vrrp.Advert, _ *vrrp.Path) { a.Interval = 40960 * time.Millisecond },
		"1.5 s in version 2": func(a *vrrp.Advert, _ *vrrp.Path) { a.Version, a.Interval = 2, 1500*time.Millisecond },
		"256 s in version 2": func(a *vrrp.Advert, _ *vrrp.Path) { a.Version, a.Interval = 2, 256*time.Second },
		"no addresses":       func(a *vrrp.Advert, _ *vrrp.Path) { a.Addresses = nil },
		"256 addresses":      func(a *vrrp.Advert, _ *vrrp.Path) { a.Addresses = make([]netip.Addr, 256) },
		"other family":       func(a *vrrp.Advert, _ *vrrp.Path) { a.Addresses = addresses("192.0.2.1,2001:db8::1") },
		"no address":         func(a *vrrp.Advert, _ *vrrp.Path) { a.Addresses = []netip.Addr{{}} },
		"mapped address": func(a *vrrp.Advert, p *vrrp.Path) {
			*p = path("fe80::1", "ff02::12")
			a.Addresses = addresses("::ffff:192.0.2.1")
		},
		"no source":  func(_ *vrrp.Advert, p *vrrp.Path) { p.Source = netip.Addr{} },
		"mixed path": func(_ *vrrp.Advert, p *vrrp.Path) { p.Destination = vrrp.Group6 },
	} {
		a, p := good.advert, good.path
		change(&a, &p)
		if b, err := vrrp.Append([]byte("before"), &a, p, vrrp.WithoutPseudoHeader, nil); err == nil || string(b) != "before" {
			t.Errorf("%s: %v, %x", name, err, b)
		}
	}
}
