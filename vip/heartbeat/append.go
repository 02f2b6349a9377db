package heartbeat

import (
	"encoding/binary"
	"fmt"
	"time"

	"sluice/vip/auth"
)

// Append appends a signed message to b, in a version that the peer speaks. An
// error says which field is out of its range; b is then returned as it was.
func Append(b []byte, m *Message, spoken uint8, path Path, signer *auth.Signer) ([]byte, error) {
	if err := m.check(spoken, path); err != nil {
		return b, fmt.Errorf("make heartbeat of %q: %v", m.Node, err)
	}
	start := len(b)
	b = append(b, magic...)
	b = append(b, m.Versions.Own, m.Versions.Oldest, spoken, 0, 0, 0)
	b = appendName(b, m.Cluster)
	for _, v := range [...]uint64{uint64(m.Boot), m.Sequence, m.Term, m.Generation} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, m.VIPs[:]...)
	b = append(b, uint8(m.State), m.BasePriority, m.Priority, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(m.Flags))
	b = appendName(b, m.Node)
	b = m.appendFields(b)
	binary.BigEndian.PutUint16(b[start+atLength:], uint16(len(b)-start)) //nolint:gosec // bounded by its parts
	return signer.Append(b, pseudoHeader(path, m.Cluster), b[start:]), nil
}

func appendName(b []byte, name string) []byte {
	return append(append(b, uint8(len(name))), name...) //nolint:gosec // checked
}

// appendFields appends what has a type and a length; empty ones are left out.
func (m *Message) appendFields(b []byte) []byte {
	if len(m.Pings) > 0 {
		b = append(b, fieldPings, 0, uint8(len(m.Pings))) //nolint:gosec // checked
		for _, p := range m.Pings {
			b = append(b, uint8(p))
		}
	}
	if m.Program != "" {
		b = append(append(b, fieldProg, 0), uint8(len(m.Program))) //nolint:gosec // checked
		b = append(b, m.Program...)
	}
	if m.Claim != 0 || m.Grant != 0 {
		b = append(b, fieldClaim, 0, claimSize)
		b = binary.BigEndian.AppendUint32(b, m.Claim)
		b = binary.BigEndian.AppendUint32(b, m.Grant)
	}
	if m.Open > 0 {
		b = append(b, fieldOpen, 0, openSize)
		b = binary.BigEndian.AppendUint32(b, uint32(min(m.Open, maxAgo)/time.Microsecond)) //nolint:gosec // bounded
	}
	if m.Echo.Boot != 0 {
		b = append(b, fieldEcho, 0, echoSize)
		b = binary.BigEndian.AppendUint64(b, uint64(m.Echo.Boot))
		b = binary.BigEndian.AppendUint64(b, m.Echo.Sequence)
		b = binary.BigEndian.AppendUint32(b, uint32(min(m.Echo.Ago, maxAgo)/time.Microsecond)) //nolint:gosec // bounded
		b = binary.BigEndian.AppendUint64(b, m.Echo.Heard)
		b = append(b, m.Echo.Span)
	}
	return b
}

// check says what cannot be sent.
func (m *Message) check(spoken uint8, path Path) error {
	switch {
	case !m.Versions.valid() || !m.Versions.understands(spoken):
		return fmt.Errorf("version %d of %d to %d: give one that the peer speaks", spoken, m.Versions.Oldest, m.Versions.Own)
	case !path.Source.IsValid() || path.Source.Is6() != path.Destination.Is6() || !path.Destination.IsValid():
		return fmt.Errorf("from %v to %v: give two addresses of one family", path.Source, path.Destination)
	}
	return m.checkContent()
}

// checkContent says which part of a message, sent or received, is out of bounds.
func (m *Message) checkContent() error {
	switch {
	case !isName(m.Cluster):
		return fmt.Errorf("virtual cluster %q: give 1 to %d bytes of text without blanks", m.Cluster, MaxName)
	case !isName(m.Node):
		return fmt.Errorf("node name %q: give 1 to %d bytes of text without blanks", m.Node, MaxName)
	case m.Boot == 0 || m.Sequence == 0:
		return fmt.Errorf("boot %d, sequence %d: let the link stamp the message", m.Boot, m.Sequence)
	case m.State >= states:
		return fmt.Errorf("%v: there is no such state", m.State)
	case len(m.Pings) > MaxPings:
		return fmt.Errorf("%d ping items: at most %d can be told", len(m.Pings), MaxPings)
	case len(m.Program) > MaxProgram || !isPrintable(m.Program, true):
		return fmt.Errorf("program version %q: give at most %d bytes of text", m.Program, MaxProgram)
	case !m.Echo.valid():
		return fmt.Errorf("echo %+v: let the link stamp the message", m.Echo)
	}
	for i, p := range m.Pings {
		if p >= pings {
			return fmt.Errorf("ping item %d: there is no result %d", i, p)
		}
	}
	return nil
}

func (v Versions) valid() bool { return v.Oldest > 0 && v.Oldest <= v.Own }

// valid says whether an echo can be: none, or of a message and within bounds.
func (e Echo) valid() bool {
	return e == Echo{} || e.Boot != 0 && e.Sequence != 0 && e.Ago >= 0 && e.Span <= 64
}
