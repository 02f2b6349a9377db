package wire

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Decode reads a record: its number and its messages, without those of kinds
// that are not known. An error says what is wrong; then nothing of the record
// may be used.
func Decode(record []byte) (seq uint64, messages []Message, err error) {
	if len(record) > MaxRecord {
		return 0, nil, fmt.Errorf("read record: %d bytes are too many", len(record))
	}
	c := cursor{rest: record}
	version := c.u8()
	seq = c.u64()
	switch {
	case c.err != nil:
		return 0, nil, fmt.Errorf("read record: %v", c.err)
	case version != Version:
		return 0, nil, fmt.Errorf("read record: version %d is not known, only %d", version, Version)
	}
	for len(c.rest) > 0 {
		in := cursor{rest: c.take(int(c.u16()))}
		kind := in.u8()
		if err := errors.Join(c.err, in.err); err != nil {
			return 0, nil, fmt.Errorf("read message of record %d: %v", seq, err)
		}
		m, err := decodeMessage(kind, &in)
		if err != nil {
			return 0, nil, fmt.Errorf("read message of kind %d in record %d: %v", kind, seq, err)
		}
		if m != nil {
			messages = append(messages, m)
		}
	}
	return seq, messages, nil
}

// decodeMessage returns nil for a kind that is not known. What stands behind
// the fields of a small message is a later version's.
func decodeMessage(kind uint8, c *cursor) (m Message, err error) {
	switch kind {
	case kindHello:
		m = Hello{Tells: c.added()}
	case kindOffer:
		o := Offer{Index: c.u16(), Term: c.u64()}
		o.Name = c.name()
		m = o
	case kindStop:
		m = Stop{Index: c.u16(), All: c.added()}
	case kindBegin:
		m = Begin{c.u16()}
	case kindFlows:
		return readFlows(c)
	case kindGone:
		return readGone(c)
	case kindEnd:
		m = End{c.u16()}
	case kindAlive:
		m = Alive{Time: c.u64(), Lag: c.lag()}
	case kindAck:
		m = Ack{Seq: c.u64(), Time: c.u64()}
	case kindWant:
		m = Want{c.name()}
	case kindRefuse:
		m = Refuse{Index: c.u16(), Reason: Refusal(c.u8()), Term: c.u64()}
	case kindPartial:
		m = Partial{Index: c.u16(), Lacks: c.span(), Told: c.u8() != 0}
	case kindTell:
		t := Tell{Index: c.u16(), Term: c.u64(), Has: c.holding()}
		t.Name = c.name()
		m = t
	}
	return m, c.err
}

// added reads a yes or no that earlier versions left out.
func (c *cursor) added() bool { return len(c.rest) > 0 && c.u8() == 1 }

func (c *cursor) holding() Holding {
	return Holding{To: c.u64(), Tail: c.u8() != 0, Lacks: c.span()}
}

// span reads none, or terms in their order.
func (c *cursor) span() Span {
	s := Span{c.u64(), c.u64()}
	if s != (Span{}) && (s.Lo == 0 || s.Hi < s.Lo) {
		c.fail(fmt.Errorf("there are no terms from %d to %d", s.Lo, s.Hi))
	}
	return s
}

// name takes all that is left.
func (c *cursor) name() string {
	if c.err != nil {
		return ""
	}
	if n := len(c.rest); n == 0 || n > MaxName || !utf8.Valid(c.rest) {
		c.fail(errors.New("that is no cluster's name"))
		return ""
	}
	return string(c.take(len(c.rest)))
}

func (c *cursor) lag() time.Duration {
	return time.Duration(min(c.u64(), uint64(MaxAge/time.Millisecond))) * time.Millisecond
}

func readFlows(c *cursor) (Message, error) {
	m := Flows{Index: c.u16(), Origin: Origin(c.u8())}
	if c.err != nil {
		return nil, c.err
	}
	if m.Origin == 0 || m.Origin > OriginRefresh {
		return nil, fmt.Errorf("origin %d is not known", m.Origin)
	}
	for len(c.rest) > 0 {
		f, err := readFlow(c)
		if err != nil {
			return nil, fmt.Errorf("flow %d: %v", len(m.Flows), err)
		}
		m.Flows = append(m.Flows, f)
	}
	return m, nil
}

func readGone(c *cursor) (Message, error) {
	m := Gone{Index: c.u16()}
	if c.err != nil {
		return nil, c.err
	}
	for len(c.rest) > 0 {
		k, err := readKey(c)
		if err != nil {
			return nil, fmt.Errorf("key %d: %v", len(m.Keys), err)
		}
		m.Keys = append(m.Keys, k)
	}
	return m, nil
}
