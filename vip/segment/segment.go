// Package segment carries VRRP adverts and heartbeat datagrams between the
// gateways of a network segment. It knows IP and Ethernet, and none of what is
// inside: payloads are opaque bytes.
//
// A [Segment] is one interface and one address family, IP protocol 112; a
// [Heartbeat] is UDP on a link of the gateways' own. Both never make a sender
// wait, and are opened in the network namespace of the calling thread.
package segment

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// ErrReopen is in an error's chain when the interface is not the one that was
// opened (deleted, made anew, renamed) or has lost the address that adverts are
// sent from: close, and open again.
var ErrReopen = socket.ErrReopen

// Packet is what came from the network, which anybody may have sent.
type Packet struct {
	// Payload is what follows the IP header. It belongs to who receives it.
	Payload []byte
	// Source is the sender's address as the packet claims, without a zone.
	Source netip.Addr
	// Destination is the group or, from a peer, our own address.
	Destination netip.Addr
	// TTL is the TTL or hop limit that was left. What was sent with 255 and
	// arrives with less came through a router (RFC 9568 §5.1.1.3).
	TTL int
	// Index is the interface it arrived by.
	Index int
}

// Segment is an open interface, for adverts of one address family.
type Segment struct {
	endpoint
	options Options
	source  netip.Addr

	own, strangers atomic.Uint64
}

// Counters tell what was received and not handed out, since Open.
type Counters struct {
	// Own are packets from our own address, that came back.
	Own uint64
	// Strangers are packets of no peer, and with peers those to the group.
	Strangers uint64
	// Odd are packets too long or malformed.
	Odd uint64
}

// Open opens an interface and hands what arrives to options.Receive until Close.
// The link may be down, and an address given as Source may be missing yet. It
// needs CAP_NET_RAW.
func Open(options Options) (*Segment, error) {
	s := &Segment{options: options}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open segment on interface %q: %w", options.Interface, err), s.release())
	}
	s.serve(s.hear)
	return s, nil
}

func (s *Segment) open() error {
	if err := s.options.check(); err != nil {
		return err
	}
	var err error
	if s.link, err = socket.FindLink(s.options.Interface); err != nil {
		return err
	}
	if s.source = s.options.Source; !s.source.IsValid() {
		if s.source, err = socket.PrimaryAddr(s.link, s.options.Family); err != nil {
			return err
		}
	}
	if s.multicast() {
		err = s.openGroup()
	} else {
		err = s.openPeers()
	}
	if err != nil {
		return err
	}
	s.watch, err = socket.NewWatch(s.link, s.source, s.renew)
	return err
}

// Source is the address that adverts are sent from. An IPv6 checksum needs it.
func (s *Segment) Source() netip.Addr { return s.source }

// Destinations are where each advert is sent, one by one: the group, or the
// peers. An IPv6 checksum differs between them.
func (s *Segment) Destinations() []netip.Addr {
	if s.multicast() {
		return []netip.Addr{group(s.options.Family)}
	}
	return slices.Clone(s.options.Peers)
}

// Counters returns what was not handed out so far.
func (s *Segment) Counters() Counters {
	return Counters{Own: s.own.Load(), Strangers: s.strangers.Load(), Odd: s.odd.Load()}
}

// Err returns nil when adverts can be sent and heard, else what Send would: see
// there. It asks nothing of the kernel and may be called as often as wanted.
func (s *Segment) Err() error {
	if err := s.watch.Err(); err != nil {
		return fmt.Errorf("segment on interface %q: %w", s.options.Interface, err)
	}
	return nil
}

// multicast says whether adverts go to the group.
func (s *Segment) multicast() bool { return len(s.options.Peers) == 0 }

// renew joins the group again after the interface may have lost it.
func (s *Segment) renew() error {
	if !s.multicast() {
		return nil
	}
	return s.ip.Rejoin(group(s.options.Family))
}

// domain is the kernel's word for the family.
func (s *Segment) domain() int {
	if s.options.Family == 4 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
