package loader_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/internal/nettest/frame"
	"sluice/loader"
)

// filler makes flows by the program alone: it plays client and backend, one
// frame at a time. Each belongs to one thread, inside the gateway's namespace.
type filler struct {
	g           *gateway
	client, far *feeder
}

// newFiller must be called inside the gateway's namespace.
func (g *gateway) newFiller() (*filler, error) {
	outside, err := g.GW.Index(nettest.OutsideLink)
	if err != nil {
		return nil, err
	}
	inside, err := g.GW.Index(nettest.InsideLink)
	if err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(g.Backends[0].Addr.Like(g.listen.Addr()), testPort)
	stranger := clientOf(0)
	if g.listen.Addr().Is6() {
		stranger = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	return &filler{
		g:      g,
		client: newFeeder(g.dp.Steer(), outside, frame.Frame{Src: stranger, Dst: g.listen, Payload: []byte("x")}),
		far:    newFeeder(g.dp.Steer(), inside, frame.Frame{Src: at, Dst: g.listen}),
	}, nil
}

func (f *filler) close() {
	f.client.close()
	f.far.close()
}

// clientOf is the address and port of client i, below 2^32 of them, from a
// network that the gateway has no route to.
func clientOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18 + byte(i>>31), byte(i >> 23), byte(i >> 15)}), uint16(i&0x7fff)+1024)
}

const (
	clientISN  = 1000
	backendISN = 5000
)

// refuses says what a flow was refused by.
type refuses struct {
	step    string
	verdict uint32
}

func (r refuses) Error() string { return fmt.Sprintf("%s: verdict %d", r.step, r.verdict) }

func (f *filler) step(p *feeder, what string, flags frame.Flags, seq, ack uint32) error {
	p.numbers(flags, seq, ack)
	v, err := p.run(flags == frame.SYN && f.g.service.Mode == loader.ModeNAT)
	if err != nil {
		return err
	}
	// What is sent on leaves by the other interface; a reset by the same.
	if v != xdpRedirect {
		return refuses{what, v}
	}
	return nil
}

// establish takes client i through the handshake; in nat the backend answers.
func (f *filler) establish(i int) error {
	f.client.from(clientOf(i))
	if err := f.step(f.client, "SYN", frame.SYN, clientISN, 0); err != nil {
		return err
	}
	if f.g.service.Mode == loader.ModeNAT {
		f.far.from(f.client.receiver())
		f.far.to(f.client.source())
		if err := f.step(f.far, "SYN-ACK", frame.SYN|frame.ACK, backendISN, clientISN+1); err != nil {
			return err
		}
	}
	return f.step(f.client, "ACK", frame.ACK, clientISN+1, backendISN+1)
}

// talk has client i send data, which proves a dsr flow once it is a tick old.
func (f *filler) talk(i int) error {
	f.client.from(clientOf(i))
	return f.step(f.client, "data", frame.ACK|frame.PSH, clientISN+2, backendISN+1)
}

// each does something with count clients.
func (f *filler) each(count int, do func(i int) error) error {
	for i := range count {
		if err := do(i); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	return nil
}

// waitTick waits until the programs' clock has moved on.
func (f *filler) waitTick() error {
	start, err := tickNow()
	for deadline := time.Now().Add(patience); err == nil; time.Sleep(time.Millisecond) {
		now, err := tickNow()
		if err != nil || now > start {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the clock stands at tick %d", now)
		}
	}
	return err
}

func tickNow() (int64, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts)
	return ts.Nano() >> 30, err
}

// inside runs fn with a filler on a thread in the gateway's namespace.
func (g *gateway) inside(t *testing.T, fn func(f *filler) error) {
	t.Helper()
	must(t, g.fillInside(fn))
}

func (g *gateway) fillInside(fn func(f *filler) error) error {
	return g.GW.Do(func() error {
		f, err := g.newFiller()
		if err != nil {
			return err
		}
		defer f.close()
		return fn(f)
	})
}
