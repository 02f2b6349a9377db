package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"

	"sluice/internal/nettest"
)

// banner is what the backend says first.
const banner = "SSH-2.0-bench\r\n"

// backend is a server that greets and sends back what it gets.
type backend struct {
	listener net.Listener
	header   bool
	tasks    sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
}

// listenBackend starts one. With header it takes a PROXY v2 header first.
func listenBackend(n *nettest.Namespace, at netip.AddrPort, header bool) (*backend, error) {
	l, err := n.Listen(at)
	if err != nil {
		return nil, err
	}
	b := &backend{listener: l, header: header, conns: make(map[net.Conn]bool)}
	b.tasks.Go(b.accept)
	return b, nil
}

func (b *backend) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
		b.tasks.Go(func() {
			b.serve(c)
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.conns, c)
			c.Close()
		})
	}
}

func (b *backend) serve(c net.Conn) {
	if b.header {
		if skipHeader(c) != nil {
			return
		}
	}
	if _, err := io.WriteString(c, banner); err != nil {
		return
	}
	echo(c, make([]byte, 64<<10))
}

// echo sends back what it hears. Not by io.Copy: that would splice, cost what no
// SSH server costs, and take two descriptors more.
func echo(c net.Conn, buffer []byte) {
	for {
		n, err := c.Read(buffer)
		if n > 0 {
			if _, err := c.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// skipHeader reads a PROXY v2 header and no more.
func skipHeader(r io.Reader) error {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	if string(head[:12]) != signature {
		return errors.New("no PROXY v2 header")
	}
	_, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint16(head[14:])))
	return err
}

func (b *backend) close() error {
	err := b.listener.Close()
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.tasks.Wait()
	return err
}
