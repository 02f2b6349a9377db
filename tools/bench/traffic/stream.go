package traffic

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"sluice/internal/nettest/frame"
)

// Stream is a sequence of frames that are alike but for who sends them and for
// their numbers. It remembers how far it got.
type Stream struct {
	plan   bpfPlan
	size   int
	client netip.Addr
}

// The kernel's generator writes frames of these lengths.
const (
	frameV4 = 64
	frameV6 = 84
)

// StreamOptions say what frames a stream has.
type StreamOptions struct {
	// Frame is what all frames have in common. Its payload is cut or filled up.
	Frame frame.Frame
	// Clients is the first client's address; each has portsPerClient flows.
	Clients netip.Addr
	// First is the number of the first flow, Flows how many there are.
	First, Flows int
	// Random visits the flows in random order, instead of one after the other.
	Random bool
	// Services is a power of two: that many ports from the frame's own on are
	// dialled.
	Services int
	// Advance has sequence numbers grow, by one in 2^Advance frames. 0 = never.
	Advance int
	// Answers has the far end play client and backend.
	Answers bool
}

// portsPerClient is 2^PORTS_BITS of bench.bpf.c.
const portsPerClient = 16

// NewStream prepares a stream.
func NewStream(o StreamOptions) (*Stream, error) {
	f := o.Frame
	f.Src = netip.AddrPortFrom(o.Clients, 1)
	s := &Stream{size: frameV4, client: o.Clients}
	if o.Clients.Is6() {
		s.size = frameV6
	}
	b, err := f.Bytes()
	if err != nil {
		return nil, fmt.Errorf("build frame: %v", err)
	}
	if len(b) > s.size {
		return nil, fmt.Errorf("build frame: %d bytes, at most %d", len(b), s.size)
	}
	copy(s.plan.Frame[:], b)
	addr := o.Clients.AsSlice()
	s.plan.Client = binary.BigEndian.Uint32(addr[len(addr)-4:])
	s.plan.First, s.plan.Flows = uint32(o.First), uint32(o.Flows)
	s.plan.ServiceMask = uint32(max(o.Services, 1) - 1)
	s.plan.Sequence = f.Seq
	s.plan.Advance = 32
	if o.Advance > 0 {
		s.plan.Advance = uint32(o.Advance)
	}
	if o.Random {
		s.plan.Random = 0x9e3779b9
	}
	if o.Clients.Is6() {
		s.plan.V6 = 1
	}
	if o.Answers {
		s.plan.Answers = 1
	}
	return s, nil
}

// Client is the address and port of a flow's client.
func (s *Stream) Client(flow int) netip.AddrPort {
	b := s.client.AsSlice()
	binary.BigEndian.PutUint32(b[len(b)-4:], s.plan.Client+uint32(flow/portsPerClient))
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(1024+flow%portsPerClient))
}

// bytes is what the kernel is given: room for a frame.
func (s *Stream) bytes() []byte { return append([]byte(nil), s.plan.Frame[:s.size]...) }
