package flowsync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

const (
	// handshakeTime is how long dialling and proving the key may take, each.
	handshakeTime = 2 * time.Second
	// maxHalfOpen bounds the connections of one peer that proved nothing yet.
	maxHalfOpen = 4
	listenPause = time.Second
)

// listen accepts peers for as long as ctx lasts.
func (s *Sync) listen(ctx context.Context, n int, listen Listen) {
	for ctx.Err() == nil {
		err := s.accept(ctx, n, listen)
		if ctx.Err() != nil {
			return
		}
		s.listening(n, err)
		select {
		case <-ctx.Done():
		case <-time.After(listenPause):
		}
	}
}

// listening notes whether there is a listener, and logs where that changed.
func (s *Sync) listening(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.errors[n]
	delete(s.errors, n)
	if err == nil {
		return
	}
	s.errors[n] = err.Error()
	if was != err.Error() {
		s.opt.Log.Warn("flow sync: no peer can connect", "error", err)
	}
}

func (s *Sync) accept(ctx context.Context, n int, listen Listen) error {
	l, err := listen(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	s.listening(n, nil)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		name, ok := s.peerOf(conn.RemoteAddr())
		if !ok {
			s.opt.Log.Debug("flow sync: a stranger connected", "addr", conn.RemoteAddr())
			conn.Close()
			continue
		}
		running.Go(func() { s.serve(ctx, name, conn) })
	}
}

func (s *Sync) peerOf(addr net.Addr) (name string, ok bool) {
	from, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return "", false
	}
	i := slices.IndexFunc(s.opt.Peers, func(p Peer) bool { return p.Addr.Unmap() == from.Addr().Unmap() })
	if i < 0 {
		return "", false
	}
	return s.opt.Peers[i].Name, true
}

// halfOpen is a connection that proved nothing yet.
type halfOpen struct {
	peer string
	conn net.Conn
}

// serve receives from who connected, if it has the key.
func (s *Sync) serve(ctx context.Context, name string, raw net.Conn) {
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	half := s.opening(name, raw)
	conn, hello, err := s.prove(name, raw)
	s.opened(half)
	if err != nil {
		if ctx.Err() == nil && s.worthTelling(name) {
			s.opt.Log.Warn("flow sync: connection refused", "peer", name, "error", err)
		}
		return
	}
	in := newInbound(s, name, conn, hello)
	s.replace(in)
	err = in.run(ctx)
	s.remove(in, err)
}

// tellEvery is how often the log hears that somebody with a peer's address has not
// its key.
const tellEvery = 30 * time.Second

func (s *Sync) worthTelling(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if last, told := s.refusals[name]; told && now.Sub(last) < tellEvery {
		return false
	}
	if s.refusals == nil {
		s.refusals = map[string]time.Time{}
	}
	s.refusals[name] = now // names are those of the peers
	return true
}

// opening notes a half-open connection. The oldest of the peer must go where
// there are too many: it had its time, and who has the key needs little.
func (s *Sync) opening(name string, conn net.Conn) *halfOpen {
	s.mu.Lock()
	defer s.mu.Unlock()
	half := &halfOpen{peer: name, conn: conn}
	s.halfOpen = append(s.halfOpen, half)
	n := 0
	for _, h := range s.halfOpen {
		if h.peer == name {
			n++
		}
	}
	if n > maxHalfOpen {
		oldest := slices.IndexFunc(s.halfOpen, func(h *halfOpen) bool { return h.peer == name })
		s.halfOpen[oldest].conn.Close()
		s.halfOpen = slices.Delete(s.halfOpen, oldest, oldest+1)
	}
	return half
}

func (s *Sync) opened(half *halfOpen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halfOpen = slices.DeleteFunc(s.halfOpen, func(h *halfOpen) bool { return h == half })
}

// prove returns once the peer has shown that it has the key and lives.
func (s *Sync) prove(name string, raw net.Conn) (*seal.Conn, wire.Hello, error) {
	if err := raw.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return nil, wire.Hello{}, err
	}
	conn, err := seal.Accept(raw, s.opt.Key, s.opt.Self, name)
	if err != nil {
		return nil, wire.Hello{}, err
	}
	b, err := conn.ReadRecord()
	if err != nil {
		return nil, wire.Hello{}, err
	}
	seq, messages, err := wire.Decode(b)
	if err != nil {
		return nil, wire.Hello{}, err
	}
	if seq == 1 && len(messages) > 0 {
		if hello, ok := messages[0].(wire.Hello); ok {
			return conn, hello, raw.SetDeadline(time.Time{})
		}
	}
	return nil, wire.Hello{}, errors.New("its first record is no greeting")
}

// replace makes in the connection of its peer, in place of an older one.
func (s *Sync) replace(in *inbound) {
	s.mu.Lock()
	old := s.inbound[in.name]
	s.inbound[in.name] = in
	s.mu.Unlock()
	if old != nil {
		old.end(errReplaced)
		<-old.ended
	}
	for _, p := range s.peers {
		if p.Name == in.name {
			poke(p.there)
		}
	}
}

func (s *Sync) remove(in *inbound, err error) {
	s.roles.mu.Lock()
	in.over = true
	s.roles.leave(in)
	s.roles.mu.Unlock()
	close(in.ended)
	s.mu.Lock()
	in.stats.err = fmt.Sprint(err)
	in.stats.ended = true
	s.mu.Unlock()
	s.reviewInbound()
}
