package frame

import (
	"bytes"
	"encoding/binary"
)

// Kinds of TCP options.
const (
	OptionEnd           = 0
	OptionNOP           = 1
	OptionMSS           = 2
	OptionWindowScale   = 3
	OptionSACKPermitted = 4
	OptionSACK          = 5
	OptionTimestamps    = 8
	OptionMPTCP         = 30
	OptionFastOpen      = 34
)

// Option makes one TCP option: kind, length and data.
func Option(kind uint8, data ...byte) []byte {
	return append([]byte{kind, byte(len(data) + 2)}, data...)
}

// MSS makes the option of the largest segment, in bytes.
func MSS(size uint16) []byte {
	return Option(OptionMSS, byte(size>>8), byte(size))
}

// Timestamps makes the option of two timestamps, in front of it the two NOPs
// that every stack sends with it.
func Timestamps(value, echo uint32) []byte {
	data := binary.BigEndian.AppendUint32(nil, value)
	data = binary.BigEndian.AppendUint32(data, echo)
	return append(NOPs(2), Option(OptionTimestamps, data...)...)
}

// NOPs makes n options that say nothing, one byte each.
func NOPs(n int) []byte { return bytes.Repeat([]byte{OptionNOP}, n) }

// Options joins options and fills them up with NOPs to a multiple of 4 bytes.
func Options(options ...[]byte) []byte {
	joined := bytes.Join(options, nil)
	return append(joined, NOPs(-len(joined)&3)...)
}
