package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"sluice/vip/segment"
)

// hubs are the heartbeat sockets of a gateway: virtual clusters that use the same
// address and port share one.
type hubs struct {
	mu  sync.Mutex
	all map[hubKey]*hub
}

type hubKey struct {
	Interface string
	Addr      netip.AddrPort
}

// hub is one socket and who listens to it. mu is held while it is opened or closed;
// packets are handed out without it, since closing waits for that.
type hub struct {
	key hubKey

	mu    sync.Mutex
	peers []netip.AddrPort // the socket was opened for
	users atomic.Pointer[[]*beats]
	link  atomic.Pointer[segment.Heartbeat] // nil while it cannot be opened
}

// errNoHeartbeat says that the socket is not open.
var errNoHeartbeat = errors.New("the heartbeat's socket is not open")

// join adds a listener and its peers. The error says why the socket cannot be
// opened; the listener is in nevertheless, and repair tries again.
func (h *hubs) join(key hubKey, b *beats) (*hub, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[hubKey]*hub{}
	}
	one := h.all[key]
	if one == nil {
		one = &hub{key: key}
		one.users.Store(&[]*beats{})
		h.all[key] = one
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	users := append(slices.Clone(*one.users.Load()), b)
	one.users.Store(&users)
	if one.link.Load() != nil && !slices.ContainsFunc(b.peers, func(p *beatPeer) bool { return !slices.Contains(one.peers, p.at) }) {
		return one, nil
	}
	return one, one.reopen()
}

// leave takes a listener out; the last one closes the socket.
func (h *hubs) leave(one *hub, b *beats) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	users := slices.DeleteFunc(slices.Clone(*one.users.Load()), func(o *beats) bool { return o == b })
	one.users.Store(&users)
	if len(users) > 0 {
		return nil
	}
	delete(h.all, one.key)
	return one.shut()
}

// reopen opens the socket for the peers of all listeners; mu is held.
func (h *hub) reopen() error {
	err := h.shut()
	h.peers = nil
	for _, b := range *h.users.Load() {
		for _, p := range b.peers {
			if !slices.Contains(h.peers, p.at) {
				h.peers = append(h.peers, p.at)
			}
		}
	}
	link, opening := segment.OpenHeartbeat(segment.HeartbeatOptions{
		Interface: h.key.Interface, Addr: h.key.Addr, Peers: h.peers, Receive: h.receive,
	})
	if opening != nil {
		return errors.Join(err, opening)
	}
	h.link.Store(link)
	return err
}

func (h *hub) shut() error {
	link := h.link.Swap(nil)
	if link == nil {
		return nil
	}
	if err := link.Close(); err != nil {
		return fmt.Errorf("close heartbeat: %v", err)
	}
	return nil
}

// repair opens the socket again where it is not the interface's any more.
func (h *hub) repair() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if link := h.link.Load(); link != nil && !errors.Is(link.Err(), segment.ErrReopen) {
		return nil
	}
	return h.reopen()
}

func (h *hub) send(to netip.AddrPort, text []byte) error {
	link := h.link.Load()
	if link == nil {
		return errNoHeartbeat
	}
	return link.Send(to, text)
}

// receive hands a datagram to all listeners, of which one finds it its own.
func (h *hub) receive(d segment.Datagram) {
	for _, b := range *h.users.Load() {
		b.receive(d)
	}
}
