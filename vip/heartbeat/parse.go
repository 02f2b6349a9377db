package heartbeat

import (
	"encoding/binary"
	"time"

	"sluice/vip/auth"
)

// Parse reads a datagram that came by a path, of a virtual cluster and signed by
// one of the keys. A refused one is empty, but for the sender's versions where
// the version is why. The message shares no memory with the datagram.
func Parse(datagram []byte, path Path, cluster string, keys *auth.Keys) (Message, Refusal) {
	r := reader{rest: datagram}
	switch {
	case len(datagram) > MaxSize:
		return Message{}, TooLong
	case string(r.take(len(magic))) != magic:
		return Message{}, UnknownProtocol
	case len(datagram) <= atCluster:
		return Message{}, Truncated
	}
	length := int(binary.BigEndian.Uint16(datagram[atLength:]))
	if length > len(datagram) || length <= atCluster {
		return Message{}, Truncated
	}
	body, trailer := datagram[:length:length], datagram[length:]
	r = reader{rest: body[atCluster:]}
	if name := r.name(); r.bad || name != cluster {
		return Message{}, OtherCluster
	}
	if refusal := refusalOf(keys.Check(trailer, pseudoHeader(path, cluster), body)); refusal != Accepted {
		return Message{}, refusal
	}
	m := Message{Cluster: cluster, Versions: Versions{body[atOwn], body[atOldest]}}
	switch spoken := body[atSpoken]; {
	case !m.Versions.valid() || !m.Versions.understands(spoken):
		return Message{}, Malformed
	case !Ours.understands(spoken):
		return Message{Versions: m.Versions}, UnsupportedVersion
	}
	m.read(&r)
	if r.bad || m.checkContent() != nil {
		return Message{}, Malformed
	}
	return m, Accepted
}

// Clock is the sender's clock, when it signed a datagram that Parse accepted.
func Clock(datagram []byte) auth.Sequence {
	return auth.SequenceOf(datagram[len(datagram)-auth.TrailerSize:])
}

// read fills in what follows the cluster's name.
func (m *Message) read(r *reader) {
	m.Boot, m.Sequence, m.Term, m.Generation = Boot(r.uint64()), r.uint64(), r.uint64(), r.uint64()
	copy(m.VIPs[:], r.take(len(m.VIPs)))
	m.State, m.BasePriority, m.Priority = State(r.uint8()), r.uint8(), r.uint8()
	r.uint8() // reserved
	m.Flags = Flags(r.uint16()) & known
	m.Node = r.name()
	seen := [...]bool{fieldPings: false, fieldProg: false, fieldEcho: false, fieldClaim: false, fieldOpen: false}
	for !r.bad && len(r.rest) > 0 {
		kind, size := r.uint8(), int(r.uint16())
		field := reader{rest: r.take(size)}
		if int(kind) >= len(seen) || kind == 0 {
			continue
		}
		r.bad = r.bad || seen[kind] || !m.readField(kind, &field)
		seen[kind] = true
	}
}

// readField reads one field and says whether it was understood.
func (m *Message) readField(kind uint8, r *reader) bool {
	switch kind {
	case fieldPings:
		if len(r.rest) == 0 || len(r.rest) > MaxPings {
			return false
		}
		m.Pings = make([]Ping, len(r.rest))
		for i := range m.Pings {
			m.Pings[i] = Ping(r.uint8())
		}
	case fieldProg:
		m.Program = string(r.take(len(r.rest)))
		return m.Program != ""
	case fieldClaim:
		m.Claim, m.Grant = r.uint32(), r.uint32()
	case fieldOpen:
		m.Open = time.Duration(r.uint32()) * time.Microsecond
	case fieldEcho:
		m.Echo = Echo{Boot: Boot(r.uint64()), Sequence: r.uint64()}
		m.Echo.Ago = time.Duration(r.uint32()) * time.Microsecond
		m.Echo.Heard, m.Echo.Span = r.uint64(), r.uint8()
		return !r.bad && m.Echo.Boot != 0
	}
	return !r.bad
}
