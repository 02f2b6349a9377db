package heartbeat

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Versions are the newest message version that a program writes and the oldest
// that it understands, both at least 1.
type Versions struct {
	Own, Oldest uint8
}

// Ours are this program's.
var Ours = Versions{Version, Oldest}

// Speak returns the version that two programs talk in: the newest that both
// know. It is false if there is none; one of them must then be upgraded.
func (v Versions) Speak(peer Versions) (uint8, bool) {
	spoken := min(v.Own, peer.Own)
	return spoken, spoken >= max(v.Oldest, peer.Oldest)
}

// understands says whether a message in this version can be read.
func (v Versions) understands(spoken uint8) bool { return spoken >= v.Oldest && spoken <= v.Own }

// VIPHash stands for a list of VIPs: gateways whose lists differ tell different
// ones.
type VIPHash [8]byte

// HashVIPs hashes a list of VIPs, each written with all that must be the same on
// all gateways. Their order does not count.
func HashVIPs(vips []string) VIPHash {
	sorted := slices.Sorted(slices.Values(vips))
	h := sha256.New()
	for _, vip := range sorted {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(vip))))
		h.Write([]byte(vip))
	}
	return VIPHash(h.Sum(nil)[:8])
}
