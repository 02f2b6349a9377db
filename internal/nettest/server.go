package nettest

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// ServerOptions say what a [Server] does with a connection.
type ServerOptions struct {
	// Banner is sent first, as SSH servers do: "SSH-2.0-b1\r\n".
	Banner string
	// Echo sends back what comes in. Without it the server reads and drops.
	Echo bool
}

// Server is a TCP server inside a namespace that counts what it does.
type Server struct {
	listener net.Listener
	options  ServerOptions

	accepted, bytesIn, bytesOut atomic.Int64

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	peers  map[netip.Addr]int
	closed bool

	tasks  sync.WaitGroup
	broken error // of accept; to be read after tasks have ended
}

// Serve starts a server at addr; port 0 takes a free one.
func Serve(n *Namespace, addr netip.AddrPort, o ServerOptions) (*Server, error) {
	listener, err := n.Listen(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		listener: listener,
		options:  o,
		conns:    make(map[net.Conn]struct{}),
		peers:    make(map[netip.Addr]int),
	}
	s.tasks.Go(s.accept)
	return s, nil
}

// ServeForTest starts a server that is closed when the test ends.
func ServeForTest(t TB, n *Namespace, addr netip.AddrPort, o ServerOptions) *Server {
	t.Helper()
	s, err := Serve(n, addr, o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAfter(t, s.Close)
	return s
}

// AcceptForTest gives each connection of a listener to handle, one after the
// other, until the test ends. It closes the listener, handle its connections.
func AcceptForTest(t TB, l net.Listener, handle func(net.Conn)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// Addr returns where the server listens.
func (s *Server) Addr() netip.AddrPort { return addrPort(s.listener.Addr()) }

// Accepted returns how many connections came so far.
func (s *Server) Accepted() int { return int(s.accepted.Load()) }

// AcceptedFrom returns how many of them came from an address.
func (s *Server) AcceptedFrom(a netip.Addr) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[a]
}

// Open returns how many connections are open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// BytesIn returns how many bytes of payload were read so far.
func (s *Server) BytesIn() int64 { return s.bytesIn.Load() }

// BytesOut returns how many bytes of payload were sent so far, banners included.
func (s *Server) BytesOut() int64 { return s.bytesOut.Load() }

// Close stops listening, cuts the open connections and waits for the end of the
// server's goroutines. The counts stay. The error is also that of a server which
// had to stop accepting before.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.tasks.Wait()
	return errors.Join(err, s.broken)
}

// accept ends with the listener. Any other error ends it too, and Close tells:
// going on would spin where descriptors have run out.
func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.broken = err
			return
		}
		if s.admit(conn) {
			s.tasks.Go(func() { s.handle(conn) })
		}
	}
}

// admit counts a connection, unless the server closed while it was accepted.
func (s *Server) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.accepted.Add(1)
	s.peers[addrPort(conn.RemoteAddr()).Addr()]++
	s.conns[conn] = struct{}{}
	return true
}

// handle carries one connection to its end.
func (s *Server) handle(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
	}()
	out := &countingWriter{conn, &s.bytesOut}
	if _, err := io.WriteString(out, s.options.Banner); err != nil {
		return
	}
	sink := io.Writer(io.Discard)
	if s.options.Echo {
		sink = out
	}
	buffer := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buffer)
		s.bytesIn.Add(int64(n))
		if n > 0 {
			if _, err := sink.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// countingWriter counts what was written. It counts first, so that whoever has
// received a byte finds it counted.
type countingWriter struct {
	io.Writer
	count *atomic.Int64
}

// Write implements io.Writer.
func (w *countingWriter) Write(p []byte) (int, error) {
	w.count.Add(int64(len(p)))
	n, err := w.Writer.Write(p)
	w.count.Add(int64(n - len(p)))
	return n, err
}

// addrPort writes IPv4 the short way, as callers compare it.
func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
