package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// The fields of a flow: a tag, a length, a value. A reader skips tags it does
// not know, so that a later version may tell more.
const (
	fieldService = iota + 1
	fieldClient
	fieldBackend
	fieldSource
	fieldMode
	fieldState
	fieldNotes
	fieldOpened
	fieldIdle
	fieldISN
	fieldClientSeq
	fieldBackendSeq
	fields
)

// mandatory are the fields that make a flow.
const mandatory = 1<<fieldService | 1<<fieldClient | 1<<fieldBackend |
	1<<fieldMode | 1<<fieldState | 1<<fieldOpened | 1<<fieldIdle

// MaxFlow is the most bytes a flow may take, the length in front not counted.
const MaxFlow = 255

// appendFlow appends the length of a flow and its fields.
func appendFlow(b []byte, f *Flow) []byte {
	at := len(b)
	b = append(b, 0)
	b = appendAddrField(b, fieldService, f.Service)
	b = appendAddrField(b, fieldClient, f.Client)
	b = appendAddrField(b, fieldBackend, f.Backend)
	if f.Source.IsValid() {
		b = appendAddrField(b, fieldSource, f.Source)
	}
	b = append(b, fieldMode, 1, byte(f.Mode), fieldState, 1, byte(f.State))
	if f.Notes != 0 {
		b = append(b, fieldNotes, 2)
		b = binary.BigEndian.AppendUint16(b, uint16(f.Notes))
	}
	b = appendAge(b, fieldOpened, f.Opened)
	b = appendAge(b, fieldIdle, f.Idle)
	b = appendNumber(b, fieldISN, f.ISN)
	b = appendNumber(b, fieldClientSeq, f.ClientSeq)
	b = appendNumber(b, fieldBackendSeq, f.BackendSeq)
	b[at] = byte(len(b) - at - 1)
	return b
}

func appendAddrField(b []byte, tag byte, a netip.AddrPort) []byte {
	return appendAddrPort(append(b, tag, byte(a.Addr().BitLen()/8+2)), a)
}

func appendAge(b []byte, tag byte, age time.Duration) []byte {
	ms := uint64(min(max(0, age), MaxAge) / time.Millisecond)
	at := len(b)
	b = binary.AppendUvarint(append(b, tag, 0), ms)
	b[at+1] = byte(len(b) - at - 2)
	return b
}

func appendNumber(b []byte, tag byte, n uint32) []byte {
	if n == 0 {
		return b
	}
	return binary.BigEndian.AppendUint32(append(b, tag, 4), n)
}

// readFlow reads one flow and its length.
func readFlow(c *cursor) (Flow, error) {
	in := cursor{rest: c.take(int(c.u8()))}
	if c.err != nil {
		return Flow{}, c.err
	}
	var f Flow
	var have uint
	for len(in.rest) > 0 {
		tag := in.u8()
		value := cursor{rest: in.take(int(in.u8()))}
		if in.err != nil {
			return Flow{}, in.err
		}
		if tag == 0 || tag >= fields {
			continue
		}
		if have&(1<<tag) != 0 {
			return Flow{}, fmt.Errorf("field %d stands twice", tag)
		}
		have |= 1 << tag
		f.field(tag, &value)
		if value.err == nil && len(value.rest) > 0 {
			value.err = errors.New("it is too long")
		}
		if value.err != nil {
			return Flow{}, fmt.Errorf("field %d: %v", tag, value.err)
		}
	}
	if have&mandatory != mandatory {
		return Flow{}, errors.New("a field that every flow has is missing")
	}
	return f, f.check()
}

func (f *Flow) field(tag byte, c *cursor) {
	switch tag {
	case fieldService:
		f.Service = c.addrPort(len(c.rest) - 2)
	case fieldClient:
		f.Client = c.addrPort(len(c.rest) - 2)
	case fieldBackend:
		f.Backend = c.addrPort(len(c.rest) - 2)
	case fieldSource:
		f.Source = c.addrPort(len(c.rest) - 2)
	case fieldMode:
		f.Mode = Mode(c.u8())
	case fieldState:
		f.State = State(c.u8())
	case fieldNotes:
		f.Notes = Notes(c.u16())
	case fieldOpened:
		f.Opened = c.age()
	case fieldIdle:
		f.Idle = c.age()
	case fieldISN:
		f.ISN = c.u32()
	case fieldClientSeq:
		f.ClientSeq = c.u32()
	case fieldBackendSeq:
		f.BackendSeq = c.u32()
	}
}

func (c *cursor) age() time.Duration {
	ms, n := binary.Uvarint(c.rest)
	if n <= 0 || ms > uint64(MaxAge/time.Millisecond) {
		c.fail(errors.New("no flow is of that age"))
		return 0
	}
	c.take(n)
	return time.Duration(ms) * time.Millisecond
}

func (f *Flow) check() error {
	switch {
	case f.Service.Addr().Is4() != f.Client.Addr().Is4():
		return errors.New("client and service are of two families")
	case f.Mode == 0 || f.Mode >= modes:
		return fmt.Errorf("mode %d is not known", f.Mode)
	case f.State == 0 || f.State >= states:
		return fmt.Errorf("state %d is not known", f.State)
	}
	return nil
}

// appendKey appends the family and two addresses.
func appendKey(b []byte, k Key) []byte {
	b = append(b, byte(k.Service.Addr().BitLen()/8))
	return appendAddrPort(appendAddrPort(b, k.Service), k.Client)
}

func readKey(c *cursor) (Key, error) {
	size := int(c.u8())
	if c.err == nil && size != 4 && size != 16 {
		c.fail(fmt.Errorf("no address has %d bytes", size))
	}
	k := Key{Service: c.addrPort(size), Client: c.addrPort(size)}
	return k, c.err
}
