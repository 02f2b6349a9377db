package segment

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// HeartbeatOptions say where heartbeats go and come from.
type HeartbeatOptions struct {
	// Interface is the heartbeat link's name.
	Interface string
	// Addr is our own address there with the UDP port. It may be missing yet,
	// and the link down; a wildcard is refused, since anybody could reach it.
	Addr netip.AddrPort
	// Peers are the other gateways, each with its port; others are not heard.
	Peers []netip.AddrPort
	// Receive is handed each datagram, one after the other.
	Receive func(Datagram)
}

// Datagram is what came from a peer's address. Who else is on the link can forge
// that: the payload must prove itself.
type Datagram struct {
	// Payload belongs to who receives it.
	Payload []byte
	// Peer is one of the peers as they were given.
	Peer netip.AddrPort
}

// Heartbeat is an open heartbeat link. Datagrams are sent with TTL 255 and heard
// only with that, by that interface (GTSM, RFC 5082).
type Heartbeat struct {
	endpoint
	options HeartbeatOptions

	strangers, routed atomic.Uint64
}

// HeartbeatCounters tell what was received and not handed out, since Open.
type HeartbeatCounters struct {
	// Strangers are datagrams of no peer.
	Strangers uint64
	// Routed are datagrams of peers with a TTL below 255 or by another
	// interface.
	Routed uint64
	// Odd are datagrams too long or malformed.
	Odd uint64
}

// gtsmTTL is the TTL that no router lets pass unchanged.
const gtsmTTL = 255

// OpenHeartbeat opens a heartbeat link and hands datagrams of peers to
// options.Receive until Close. It needs CAP_NET_RAW for the interface.
func OpenHeartbeat(options HeartbeatOptions) (*Heartbeat, error) {
	options.Peers = slices.Clone(options.Peers)
	h := &Heartbeat{options: options}
	if err := h.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open heartbeat on interface %q: %w", options.Interface, err), h.release())
	}
	h.serve(h.hear)
	return h, nil
}

func (h *Heartbeat) open() error {
	if err := h.options.check(); err != nil {
		return err
	}
	var err error
	if h.link, err = socket.FindLink(h.options.Interface); err != nil {
		return err
	}
	domain := unix.AF_INET
	if h.options.Addr.Addr().Is6() {
		domain = unix.AF_INET6
	}
	options := append(socket.Received(domain), socket.Control(domain)...)
	options = append(options, socket.TTL(domain, gtsmTTL))
	options = append(options, socket.Bound(h.link, h.options.Addr)...)
	if h.ip, err = socket.Open(socket.Kind{Domain: domain, Type: unix.SOCK_DGRAM}, h.link, options...); err != nil {
		return err
	}
	h.watch, err = socket.NewWatch(h.link, h.options.Addr.Addr(), nil)
	return err
}

// Err returns nil when heartbeats can be sent and heard, else what Send would.
func (h *Heartbeat) Err() error {
	if err := h.watch.Err(); err != nil {
		return fmt.Errorf("heartbeat on interface %q: %w", h.options.Interface, err)
	}
	return nil
}

// Send sends a datagram to one of the peers. It never waits; the errors are those
// of [Segment.Send].
func (h *Heartbeat) Send(to netip.AddrPort, payload []byte) error {
	if !slices.Contains(h.options.Peers, to) {
		return fmt.Errorf("send to %s on interface %q: it is no peer", to, h.options.Interface)
	}
	if err := h.Err(); err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	err := h.ip.Send(payload, socket.Sockaddr(h.link, plain(to)))
	return explain(err, to, h.options.Interface, len(payload))
}

// Counters returns what was not handed out so far.
func (h *Heartbeat) Counters() HeartbeatCounters {
	return HeartbeatCounters{Strangers: h.strangers.Load(), Routed: h.routed.Load(), Odd: h.odd.Load()}
}

func (h *Heartbeat) hear(m socket.Message) {
	peer := slices.IndexFunc(h.options.Peers, func(p netip.AddrPort) bool { return plain(p) == m.From })
	switch {
	case peer < 0:
		h.strangers.Add(1)
	case m.TTL != gtsmTTL || m.Index != h.link.Index:
		h.routed.Add(1)
	default:
		h.options.Receive(Datagram{Payload: bytes.Clone(m.Payload), Peer: h.options.Peers[peer]})
	}
}
