package loader

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"sluice/internal/nettest/frame"
)

// talk is one connection through a stand, followed from both ends. It knows
// what each frame must become, and keeps the sequence numbers.
type talk struct {
	stand
	client netip.AddrPort
	member MemberID
	to     Member
	source netip.AddrPort // towards the backend; of hide known after the SYN
	via    NextHopID      // the client's

	up, down counter

	// header is of proxied alone, former that of an earlier connection on the
	// tuple.
	header, former header
}

// counter is one direction's sequence numbers.
type counter struct {
	isn, next uint32
	last      uint32 // where the last segment began
}

// talk begins a connection of a client nobody has seen, that falls on member
// which of the service: 0 is redirected to near, 1 sent back to far.
func (s stand) talk(t *testing.T, which int) *talk {
	t.Helper()
	for {
		c := s.talkOf(t, s.nextClient())
		if c.member == membersOf(s.id)[which] {
			return c
		}
	}
}

// talkOf begins a connection of a certain client. Its member is where Go's
// hash says that the ring sends it.
func (s stand) talkOf(t *testing.T, client netip.AddrPort) *talk {
	t.Helper()
	c := &talk{stand: s, client: client, via: hopRouter}
	c.begin()
	ring, err := s.d.Ring(s.id)
	mustRig(t, err)
	c.member = ring.Get(s.d.FlowHash(client, s.svc))
	members, err := s.d.Members()
	mustRig(t, err)
	c.to = members[c.member]
	if s.svc.Mode.OneWay() || s.svc.KeepClient {
		c.source = client
	}
	return c
}

// begin takes the first initial sequence numbers, just before they wrap round.
func (c *talk) begin() {
	c.up.isn, c.down.isn = 0xfffffff0, 0xffff8000
	c.up.next, c.down.next = c.up.isn, c.down.isn
}

// restart takes the next ones, as far ahead as the clocks that stacks draw them
// from are after a second (RFC 6528).
func (c *talk) restart() {
	c.up.isn, c.down.isn = c.up.next+1<<24, c.down.next+1<<24
	c.up.next, c.down.next = c.up.isn, c.down.isn
}

// side is who sends.
type side int

const (
	fromClient side = iota
	fromBackend
)

func (s side) String() string { return [...]string{"client", "backend"}[s] }

// segment is the next frame of one side, and the interface it comes in by.
func (c *talk) segment(from side, flags frame.Flags, data string) (iface, frame.Frame) {
	f := frame.Frame{VLANs: c.tags, Flags: flags, Window: 502, ID: 77, TOS: 0x10, DontFragment: c.client.Addr().Is4(), Payload: []byte(data)}
	own, other := &c.up, &c.down
	f.Src, f.Dst, f.SrcMAC = c.client, c.svc.Listen, c.hops[c.via].Destination
	hop := c.via
	if from == fromBackend {
		own, other = other, own
		f.Src, f.Dst, f.SrcMAC = c.to.Addr, c.source, c.hops[c.to.NextHop].Destination
		if c.svc.Mode.OneWay() {
			f.Src = c.svc.Listen
		}
		hop = c.to.NextHop
	}
	f.DstMAC = c.at(hop).mac
	if flags&frame.SYN != 0 {
		own.next = own.isn
	}
	if c.client.Addr().Is6() {
		f.FlowLabel = 0xabcde
	}
	f.Seq = own.next
	if flags&frame.ACK != 0 {
		f.Ack = other.next
		if from == fromBackend {
			f.Ack = c.hears(flags, other.next)
		}
	}
	own.last = own.next
	own.next += taken(f)
	return c.at(hop), f
}

// taken is how many sequence numbers a segment uses up.
func taken(f frame.Frame) uint32 {
	n := uint32(len(f.Payload))
	if f.Flags&frame.SYN != 0 {
		n++
	}
	if f.Flags&frame.FIN != 0 {
		n++
	}
	return n
}

// translated is what the frame of one side must be when it leaves.
func (c *talk) translated(from side, f frame.Frame) frame.Frame {
	hop := c.hops[c.to.NextHop]
	if from == fromBackend {
		hop = c.hops[c.via]
		f.Src, f.Dst = c.svc.Listen, c.client
		f = c.withoutHeader(f)
	} else if c.svc.Mode == ModeNAT {
		f.Src, f.Dst = c.source, c.to.Addr
		f = c.withHeader(f)
	}
	f.SrcMAC, f.DstMAC = hop.Source, hop.Destination
	ttl := uint8(64)
	if f.TTL != nil {
		ttl = *f.TTL
	}
	f.TTL = new(ttl - 1)
	return f
}

// forwarded is the verdict on a frame of one side.
func (c *talk) forwarded(from side) verdict {
	if c.at(c.via).index == c.at(c.to.NextHop).index {
		return xdpTX
	}
	return xdpRedirect
}

// answer is the reset that a frame is answered with, as RFC 9293 section
// 3.10.7.1 has it.
func answer(f frame.Frame) frame.Frame {
	r := frame.Frame{
		SrcMAC: f.DstMAC, DstMAC: f.SrcMAC, VLANs: f.VLANs, Src: f.Dst, Dst: f.Src, TOS: f.TOS, FlowLabel: f.FlowLabel,
		Flags: frame.RST | frame.ACK, Ack: f.Seq + taken(f),
	}
	if f.Flags&frame.ACK != 0 {
		r.Flags, r.Seq, r.Ack = frame.RST, f.Ack, 0
	}
	return r
}

// learn takes the source towards the backend from the first frame to it.
func (c *talk) learn(t *testing.T, out []byte) {
	t.Helper()
	f, err := frame.Decode(out)
	mustRig(t, err)
	c.source = f.Src
	if err := c.lawful(f.Src, rigPorts); err != nil {
		t.Errorf("source %s: %v", f.Src, err)
	}
}

// lawful says why a source must not be taken towards a backend.
func (s stand) lawful(source netip.AddrPort, spans [2][2]uint16) error {
	p := source.Port()
	switch {
	case !slices.Contains(s.svc.Pool, source.Addr()):
		return fmt.Errorf("the address is not in the pool")
	case (p < spans[0][0] || p > spans[0][1]) && (p < spans[1][0] || p > spans[1][1]):
		return fmt.Errorf("the port is in neither span")
	}
	for _, other := range s.services {
		if other.Listen == source {
			return fmt.Errorf("the port is that of a service")
		}
	}
	return nil
}
