package nettest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Dial opens a TCP connection from inside the namespace. An idle one is silent:
// Go's keepalives, every 15 s, are off, as with connections that are accepted.
func (n *Namespace) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	var conn net.Conn
	err := n.Do(func() (err error) {
		conn, err = (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial from namespace %q: %v", n.name, err)
	}
	return conn, nil
}

// Listen listens for TCP connections inside the namespace; port 0 takes a free
// one. The listener is plain TCP: Go's own default would answer MPTCP, which no
// SSH server speaks.
func (n *Namespace) Listen(addr netip.AddrPort) (net.Listener, error) {
	var listener net.Listener
	err := n.Do(func() (err error) {
		config := net.ListenConfig{KeepAlive: -1}
		config.SetMultipathTCP(false)
		listener, err = config.Listen(context.Background(), network(addr.Addr()), addr.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in namespace %q: %v", n.name, err)
	}
	return listener, nil
}

// network keeps the two families apart: "tcp" on :: would take IPv4 as well.
func network(a netip.Addr) string {
	if a.Is4() {
		return "tcp4"
	}
	return "tcp6"
}
