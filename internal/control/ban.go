package control

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// BanList is the answer of GET /v1/bans: who is kept out or never, and how often.
type BanList struct {
	// Bans are the operators', the latest first, Denied and Exempt the prefixes
	// of guard.deny and guard.exempt.
	Bans   List[Ban]  `json:"bans"`
	Denied List[Rule] `json:"denied"`
	Exempt List[Rule] `json:"exempt"`
}

// Ban keeps new connections of a prefix out.
type Ban struct {
	Prefix netip.Prefix `json:"prefix"`
	Reason string       `json:"reason"`
	Since  time.Time    `json:"since"`
	// Until is when it ends; null is never.
	Until *time.Time `json:"until"`
	// Packets and Bytes are what it kept out.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Rule is one prefix of the settings with what it kept out or, exempt, let past:
// packets of a denied prefix, and those that begin a connection.
type Rule struct {
	Prefix  netip.Prefix `json:"prefix"`
	Packets uint64       `json:"packets"`
	Bytes   uint64       `json:"bytes"`
}

// BanRequest is the body of POST /v1/bans/add.
type BanRequest struct {
	// Prefix is a network, or an address: in IPv6 that is its /64.
	Prefix string `json:"prefix"`
	// For is how long, zero for ever.
	For Duration `json:"for"`
	// Reason is for other operators, at most 200 bytes on one line.
	Reason string `json:"reason"`
	// Kill also ends what the prefix has established.
	Kill bool `json:"kill"`
}

// BanResult is the answer.
type BanResult struct {
	Ban Ban `json:"ban"`
	// FlowsKilled is how many flows were ended.
	FlowsKilled int `json:"flows_killed"`
}

// UnbanRequest is the body of POST /v1/bans/remove.
type UnbanRequest struct {
	Prefix string `json:"prefix"`
}

// UnbanResult is the answer.
type UnbanResult struct {
	Prefix netip.Prefix `json:"prefix"`
	// Changed says whether there was such a ban.
	Changed bool `json:"changed"`
}

// maxReason bounds the reason of a ban in bytes.
const maxReason = 200

// ParseBanPrefix reads what an operator wants to ban: a network, or an address,
// which in IPv6 stands for its /64, because a host has all of it.
func ParseBanPrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not an IP address or network", text)
		}
		addr = addr.Unmap()
		if addr.Is4() {
			return netip.PrefixFrom(addr, 32), nil
		}
		return netip.PrefixFrom(addr, 64).Masked(), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is not an IP address or network", text)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits behind the first %d: write %s, or %s for that one address", text, p.Bits(), p.Masked(), p.Addr())
	}
	return p, nil
}

func (s *Server) bans(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.o.Guardian.Bans(r.Context())
}

func (s *Server) ban(w http.ResponseWriter, r *http.Request) (any, error) {
	var q BanRequest
	if err := decodeBody(w, r, maxOrderBody, &q); err != nil {
		return nil, err
	}
	p, err := ParseBanPrefix(q.Prefix)
	if err != nil {
		return nil, NewError(CodeInvalid, `field "prefix": `+err.Error(), "")
	}
	if len(q.Reason) > maxReason || strings.ContainsFunc(q.Reason, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return nil, NewError(CodeInvalid, fmt.Sprintf(`field "reason": want at most %d bytes on one line`, maxReason), "")
	}
	return s.o.Guardian.Ban(r.Context(), p, q)
}

func (s *Server) unban(w http.ResponseWriter, r *http.Request) (any, error) {
	var q UnbanRequest
	if err := decodeBody(w, r, maxOrderBody, &q); err != nil {
		return nil, err
	}
	p, err := ParseBanPrefix(q.Prefix)
	if err != nil {
		return nil, NewError(CodeInvalid, `field "prefix": `+err.Error(), "")
	}
	changed, err := s.o.Guardian.Unban(r.Context(), p)
	return UnbanResult{p, changed}, err
}
