package nettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// dialers is how many connections are dialled at a time: enough to hide a lost
// SYN, few enough not to overflow the listener's backlog.
const dialers = 16

// Conns are open TCP connections of one client.
type Conns []net.Conn

// OpenConns opens count connections from a namespace to addr. When one fails the
// others are closed again.
func OpenConns(ctx context.Context, n *Namespace, addr netip.AddrPort, count int) (Conns, error) {
	conns := make(Conns, count)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(dialers, count) {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				conn, err := n.Dial(ctx, addr)
				if err != nil {
					return fmt.Errorf("connection %d of %d: %v", i+1, count, err)
				}
				conns[i] = conn
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, conns.Close())
	}
	return conns, nil
}

// Read reads size bytes from every connection, such as a banner, and returns
// them in the connections' order. All have to arrive within the time given.
func (c Conns) Read(size int, within time.Duration) ([]string, error) {
	got := make([]string, len(c))
	err := c.each(within, func(i int, conn net.Conn) error {
		buffer := make([]byte, size)
		n, err := io.ReadFull(conn, buffer)
		got[i] = string(buffer[:n])
		return err
	})
	return got, err
}

// Exchange sends the payload over every connection and reads it back, for
// servers that echo. All have to be done within the time given.
func (c Conns) Exchange(payload []byte, within time.Duration) error {
	return c.each(within, func(_ int, conn net.Conn) error {
		sent := make(chan error, 1)
		go func() {
			_, err := conn.Write(payload)
			sent <- err
		}()
		back := make([]byte, len(payload))
		_, err := io.ReadFull(conn, back)
		if err := errors.Join(err, <-sent); err != nil {
			return err
		}
		if !bytes.Equal(back, payload) {
			return errors.New("the echo differs from what was sent")
		}
		return nil
	})
}

// each runs fn for every connection at once, with one deadline for all.
func (c Conns) each(within time.Duration, fn func(int, net.Conn) error) error {
	deadline := time.Now().Add(within)
	var group errgroup.Group
	for i, conn := range c {
		group.Go(func() error {
			err := conn.SetDeadline(deadline)
			if err == nil {
				err = fn(i, conn)
			}
			if err != nil {
				return fmt.Errorf("connection %d of %d, from %s: %v", i+1, len(c), conn.LocalAddr(), err)
			}
			return conn.SetDeadline(time.Time{})
		})
	}
	return group.Wait()
}

// Close closes the connections that are open.
func (c Conns) Close() error {
	var errs []error
	for _, conn := range c {
		if conn == nil {
			continue
		}
		if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
