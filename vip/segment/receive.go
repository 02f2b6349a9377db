package segment

import (
	"bytes"
	"slices"

	"sluice/vip/socket"
)

// hear hands a packet out unless it is our own or no peer's.
func (s *Segment) hear(m socket.Message) {
	from := m.From.Addr()
	if from == s.source {
		s.own.Add(1)
		return
	}
	var welcome bool
	if s.multicast() {
		welcome = m.To == group(s.options.Family)
	} else {
		welcome = !m.To.IsMulticast() && slices.Contains(s.options.Peers, from)
	}
	if !welcome || m.Index != s.link.Index {
		s.strangers.Add(1)
		return
	}
	s.options.Receive(Packet{
		Payload: bytes.Clone(m.Payload), Source: from, Destination: m.To, TTL: m.TTL, Index: m.Index,
	})
}
