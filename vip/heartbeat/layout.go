package heartbeat

import (
	"net/netip"
	"time"
	"unicode"
	"unicode/utf8"
)

// A message is, in network byte order:
//
//	magic (4) | own version | oldest version | spoken version | 0 | length (2)
//	cluster name
//	boot (8) | sequence (8) | term (8) | settings generation (8) | VIP hash (8)
//	state | base priority | priority | 0 | flags (2)
//	node name
//	any number of: type | length (2) | value
//	trailer of package auth
//
// Names are a byte of length and the text. Length is that of all but the
// trailer. The first two lines are the same in all versions; values of unknown
// types are skipped.
const (
	magic      = "SLHB"
	atOwn      = 4
	atOldest   = 5
	atSpoken   = 6
	atLength   = 8
	atCluster  = 10
	fieldHead  = 3
	fieldPings = 1
	fieldProg  = 2
	fieldEcho  = 3
	fieldClaim = 4
	fieldOpen  = 5
	echoSize   = 29
	claimSize  = 8
	openSize   = 4
)

// maxAgo is the longest time that an echo can tell.
const maxAgo = (1<<32 - 1) * time.Microsecond

// Path is between whom a message goes.
type Path struct {
	Source, Destination netip.Addr
}

// protocol keeps signatures of heartbeats apart from any other use of a key.
const protocol = "sluice heartbeat"

// pseudoHeader binds a message to its conversation: protocol, both addresses and
// virtual cluster.
func pseudoHeader(p Path, cluster string) []byte {
	source, destination := p.Source.As16(), p.Destination.As16()
	b := make([]byte, 0, len(protocol)+len(source)+len(destination)+1+len(cluster))
	b = append(append(append(b, protocol...), source[:]...), destination[:]...)
	return append(append(b, uint8(len(cluster))), cluster...) //nolint:gosec // checked
}

// isName says whether a name may stand in logs.
func isName(s string) bool { return s != "" && len(s) <= MaxName && isPrintable(s, false) }

// isPrintable says whether a text is harmless where it is shown.
func isPrintable(s string, blanks bool) bool {
	for _, r := range s {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) && (!blanks || r != ' ') {
			return false
		}
	}
	return utf8.ValidString(s)
}
