package vrrp

import (
	"net/netip"

	"sluice/vip/auth"
)

// pseudoHeader is what the draft binds an advert to: family, version, VRID and
// source. Destination, TTL and the rest of the IP header are left out.
func pseudoHeader(source netip.Addr, version, vrid uint8) [20]byte {
	h := [20]byte{6, version, vrid, 0}
	if source.Is4() {
		h[0] = 4
	}
	copy(h[4:], source.AsSlice())
	return h
}

// noChecksum is what the checksum is read as when an advert is signed.
var noChecksum [afterSum - atChecksum]byte

// Verify judges the advert by its trailer. It is the verifier of this advert's
// virtual router on this interface: each has a stream of its own. A refused
// advert is malformed.
func (r *Received) Verify(v *auth.Verifier) auth.Result {
	if r.advert == nil {
		return auth.Result{Verdict: auth.Malformed}
	}
	head := pseudoHeader(r.source, r.Version, r.VRID)
	return v.Verify(r.source, r.trailer, head[:], r.advert[:atChecksum], noChecksum[:], r.advert[afterSum:])
}

// Signed says whether there is something behind the advert that may be a trailer.
func (r *Received) Signed() bool { return len(r.trailer) > 0 }
