package wire

import (
	"encoding/binary"
	"time"
)

// Record is a record being written: its version and number, then messages.
type Record struct{ b []byte }

// Reset begins the record of a number.
func (r *Record) Reset(seq uint64) {
	r.b = append(r.b[:0], Version)
	r.b = binary.BigEndian.AppendUint64(r.b, seq)
}

// Bytes are the record's; they are valid until the next Reset.
func (r *Record) Bytes() []byte { return r.b }

// Empty says that no message was added.
func (r *Record) Empty() bool { return len(r.b) <= recordHeader }

// Room is how many bytes are left.
func (r *Record) Room() int { return MaxRecord - len(r.b) }

// maxFields is the most bytes of a small message beside a name.
const maxFields = 2 + 8 + 8 + 1 + 16

// Add appends a message, which must be one of the small ones: flows and keys
// are added by AddFlows and AddGone. It returns false if there is no room.
func (r *Record) Add(m Message) bool {
	if r.Room() < messageHeader+maxFields+MaxName {
		return false
	}
	at := r.begin()
	switch m := m.(type) {
	case Hello:
		r.b[at+2] = kindHello
		r.bool(m.Tells)
	case Offer:
		r.b[at+2] = kindOffer
		r.u16(m.Index)
		r.u64(m.Term)
		r.b = append(r.b, m.Name...)
	case Stop:
		r.b[at+2] = kindStop
		r.u16(m.Index)
		r.bool(m.All)
	case Begin:
		r.b[at+2] = kindBegin
		r.u16(m.Index)
	case End:
		r.b[at+2] = kindEnd
		r.u16(m.Index)
	case Alive:
		r.b[at+2] = kindAlive
		r.u64(m.Time)
		r.u64(uint64(max(0, m.Lag) / time.Millisecond))
	case Ack:
		r.b[at+2] = kindAck
		r.u64(m.Seq)
		r.u64(m.Time)
	case Want:
		r.b[at+2] = kindWant
		r.b = append(r.b, m.Name...)
	case Refuse:
		r.b[at+2] = kindRefuse
		r.u16(m.Index)
		r.b = append(r.b, byte(m.Reason))
		r.u64(m.Term)
	case Partial:
		r.b[at+2] = kindPartial
		r.u16(m.Index)
		r.span(m.Lacks)
		r.bool(m.Told)
	case Tell:
		r.b[at+2] = kindTell
		r.u16(m.Index)
		r.u64(m.Term)
		r.u64(m.Has.To)
		r.bool(m.Has.Tail)
		r.span(m.Has.Lacks)
		r.b = append(r.b, m.Name...)
	}
	r.end(at)
	return true
}

// AddFlows appends as many of the flows as there is room for, and returns the
// others.
func (r *Record) AddFlows(index uint16, origin Origin, flows []Flow) []Flow {
	if r.Room() < flowsHeader+MaxFlow+1 || len(flows) == 0 {
		return flows
	}
	at := r.begin()
	r.b[at+2] = kindFlows
	r.u16(index)
	r.b = append(r.b, byte(origin))
	for len(flows) > 0 && r.Room() > MaxFlow {
		r.b = appendFlow(r.b, &flows[0])
		flows = flows[1:]
	}
	r.end(at)
	return flows
}

// keySize is the most bytes of a key.
const keySize = 1 + 2*18

// AddGone appends as many of the keys as there is room for, and returns the
// others.
func (r *Record) AddGone(index uint16, keys []Key) []Key {
	if r.Room() < messageHeader+2+keySize || len(keys) == 0 {
		return keys
	}
	at := r.begin()
	r.b[at+2] = kindGone
	r.u16(index)
	for len(keys) > 0 && r.Room() >= keySize {
		r.b = appendKey(r.b, keys[0])
		keys = keys[1:]
	}
	r.end(at)
	return keys
}

func (r *Record) begin() (at int) {
	at = len(r.b)
	r.b = append(r.b, 0, 0, 0)
	return at
}

// end fills in the length, which counts the kind.
func (r *Record) end(at int) { binary.BigEndian.PutUint16(r.b[at:], uint16(len(r.b)-at-2)) }

func (r *Record) span(s Span) {
	r.u64(s.Lo)
	r.u64(s.Hi)
}

func (r *Record) bool(is bool) {
	b := byte(0)
	if is {
		b = 1
	}
	r.b = append(r.b, b)
}

func (r *Record) u16(n uint16) { r.b = binary.BigEndian.AppendUint16(r.b, n) }
func (r *Record) u64(n uint64) { r.b = binary.BigEndian.AppendUint64(r.b, n) }
