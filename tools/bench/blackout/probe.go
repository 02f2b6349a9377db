// Package blackout measures for how long a VIP does not answer, and which
// gateways answer for it.
package blackout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"sluice/internal/nettest"
)

// ICMP types of RFC 792, and where an echo's data begin.
const (
	echoRequest = 8
	echoReply   = 0
	headerSize  = 8
)

// magic tells our echoes from those of others.
const magic = 0x536c7563

// Probe sends numbered echo requests to a VIP from a client, one each interval,
// and notes when each was answered.
type Probe struct {
	every time.Duration
	conn  net.PacketConn
	stop  chan struct{}
	tasks sync.WaitGroup

	mu       sync.Mutex
	answered []time.Time
	failed   error
}

// StartProbe starts one for an IPv4 address.
func StartProbe(n *nettest.Namespace, vip netip.Addr, every time.Duration) (*Probe, error) {
	p := &Probe{every: every, stop: make(chan struct{})}
	err := n.Do(func() (err error) {
		p.conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("probe %s: %v", vip, err)
	}
	p.tasks.Go(func() { p.send(&net.IPAddr{IP: vip.AsSlice()}) })
	p.tasks.Go(p.receive)
	return p, nil
}

// send keeps to the beat: what comes late does not make the next late.
func (p *Probe) send(to net.Addr) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for number := uint32(0); ; number++ {
		// That there is no way to the VIP just now is what is measured.
		_, _ = p.conn.WriteTo(request(number), to)
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}

func (p *Probe) receive() {
	buffer := make([]byte, 1500)
	for {
		n, _, err := p.conn.ReadFrom(buffer)
		now := time.Now()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.mu.Lock()
		if err != nil {
			p.failed = err
			p.mu.Unlock()
			return
		}
		if _, ours := replyNumber(buffer[:n]); ours {
			p.answered = append(p.answered, now)
		}
		p.mu.Unlock()
	}
}

// Longest returns the longest time within a stretch in which no answer came,
// less the interval. An answer just before the stretch begins it.
func (p *Probe) Longest(from, to time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return longest(p.answered, from, to, p.every)
}

// Answered says whether an answer came since.
func (p *Probe) Answered(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.answered)
	return n > 0 && p.answered[n-1].After(since)
}

// Close ends it. The error is also that of a probe that could not go on.
func (p *Probe) Close() error {
	close(p.stop)
	err := p.conn.Close()
	p.tasks.Wait()
	return errors.Join(err, p.failed)
}

// longest is by the times of the answers, which are in order.
func longest(answered []time.Time, from, to time.Time, every time.Duration) time.Duration {
	last, most := from, time.Duration(0)
	for _, at := range answered {
		if at.After(to) {
			break
		}
		if at.After(from) {
			most = max(most, at.Sub(last))
		}
		last = at
	}
	if last.Before(to) {
		most = max(most, to.Sub(last))
	}
	return max(most-every, 0)
}

// request is an ICMP echo request with a number.
func request(number uint32) []byte {
	b := make([]byte, headerSize+8)
	b[0] = echoRequest
	binary.BigEndian.PutUint16(b[6:], uint16(number))
	binary.BigEndian.PutUint32(b[headerSize:], magic)
	binary.BigEndian.PutUint32(b[headerSize+4:], number)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum is that of RFC 1071 over an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// replyNumber reads the number of an answer to one of our requests.
func replyNumber(b []byte) (number uint32, ours bool) {
	if len(b) < headerSize+8 || b[0] != echoReply || binary.BigEndian.Uint32(b[headerSize:]) != magic {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[headerSize+4:]), true
}
