package flowsync

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// fakeNet joins nodes by pipes that know addresses, and can be cut.
type fakeNet struct {
	mu        sync.Mutex
	listeners map[netip.Addr]*fakeListener
	conns     map[*fakeConn]bool
	cut       map[[2]netip.Addr]bool
	port      uint16
	// stalled nodes read nothing until the channel is closed.
	stalled map[netip.Addr]chan struct{}
	// between, if set, wraps what the dialling end gets.
	between func(net.Conn) net.Conn
}

func newNet() *fakeNet {
	return &fakeNet{
		listeners: map[netip.Addr]*fakeListener{}, conns: map[*fakeConn]bool{}, cut: map[[2]netip.Addr]bool{},
		stalled: map[netip.Addr]chan struct{}{},
	}
}

// stall lets a node read nothing until the function is called.
func (n *fakeNet) stall(addr netip.Addr) (end func()) {
	stalled := make(chan struct{})
	n.mu.Lock()
	n.stalled[addr] = stalled
	n.mu.Unlock()
	return func() {
		n.mu.Lock()
		delete(n.stalled, addr)
		n.mu.Unlock()
		close(stalled)
	}
}

type fakeListener struct {
	net    *fakeNet
	addr   netip.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

type fakeConn struct {
	net.Conn
	net           *fakeNet
	local, remote netip.AddrPort
}

func (c *fakeConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *fakeConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *fakeConn) Read(p []byte) (int, error) {
	c.net.mu.Lock()
	stalled := c.net.stalled[c.local.Addr()]
	c.net.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	return c.Conn.Read(p)
}

func (c *fakeConn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	return c.Conn.Close()
}

func (n *fakeNet) listen(addr netip.Addr) Listen {
	return func(context.Context) (net.Listener, error) {
		l := &fakeListener{net: n, addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.listeners[addr] = l
		return l, nil
	}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.net.listeners[l.addr] == l {
		delete(l.net.listeners, l.addr)
	}
	return nil
}

func (l *fakeListener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.addr, 8021))
}

func (n *fakeNet) dial(from, to netip.Addr) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		a, b := net.Pipe()
		n.mu.Lock()
		l := n.listeners[to]
		if l == nil || n.cut[[2]netip.Addr{from, to}] {
			n.mu.Unlock()
			return nil, errors.New("connection refused")
		}
		n.port++
		source, target := netip.AddrPortFrom(from, 1024+n.port), netip.AddrPortFrom(to, 8021)
		near := &fakeConn{Conn: a, net: n, local: source, remote: target}
		far := &fakeConn{Conn: b, net: n, local: target, remote: source}
		n.conns[near], n.conns[far] = true, true
		between := n.between
		n.mu.Unlock()
		select {
		case l.conns <- far:
		case <-l.closed:
			near.Close()
			far.Close()
			return nil, errors.New("connection refused")
		case <-ctx.Done():
			near.Close()
			far.Close()
			return nil, ctx.Err()
		}
		if between != nil {
			return between(near), nil
		}
		return near, nil
	}
}

// sever breaks all connections between two, both ways, and allows new ones or
// not.
func (n *fakeNet) sever(a, b netip.Addr, cut bool) {
	n.mu.Lock()
	n.cut[[2]netip.Addr{a, b}], n.cut[[2]netip.Addr{b, a}] = cut, cut
	var broken []*fakeConn
	for c := range n.conns {
		l, r := c.local.Addr(), c.remote.Addr()
		if l == a && r == b || l == b && r == a {
			broken = append(broken, c)
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}
