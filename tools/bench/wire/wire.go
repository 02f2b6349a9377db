// Package wire is a client, a gateway and a backend in a row, built so that what
// the gateway spends can be told from what the others do.
//
// A packet that reaches a veth is handled by a soft interrupt of whoever sent
// it, unless the receiving end has a NAPI of its own; and that can be a kernel
// thread, whose time can be read. So every end has an XDP program, which gives
// it a NAPI, and threaded NAPI. The gateway's time is that of its two threads
// and of its processes.
//
// In two things a veth is unlike a network card. It takes a frame as a socket
// made it: before a program sees it, it is copied, and when it is freed, its
// sender is told and sends more, all in the receiver's time. And each frame wakes
// the receiver. So a relay stands between the gateway and either host and
// hands frames over in pages, as a driver does; and a NAPI that ran out of
// frames looks again after a while instead of being woken by the next, as cards
// moderate their interrupts.
package wire

import (
	"errors"
	"fmt"
	"net/netip"

	"sluice/internal/nettest"
)

// Wire is one such row:
//
//	client ── relay ── ext, gateway (VIP), int ── relay ── backend
type Wire struct {
	Client, Gateway, Backend *nettest.Namespace

	relay *nettest.Namespace
	// Outside and Inside are the names of the gateway's interfaces.
	Outside, Inside string

	offloads bool
}

// The plan of addresses, the same in every wire.
var (
	VIP         = netip.MustParseAddr("192.0.2.3")
	BackendAddr = netip.MustParseAddr("10.0.0.11")

	outside = netip.MustParsePrefix("192.0.2.1/24")
	client  = netip.MustParsePrefix("192.0.2.100/24")
	inside  = netip.MustParsePrefix("10.0.0.1/24")
)

// Options say what a wire looks like.
type Options struct {
	// Name tells it from others; names of interfaces begin with it.
	Name string
	// Offloads leaves the veths their own: segments of up to 64 KiB and partial
	// checksums, which no wire carries. Such packets see neither a relay nor a
	// NAPI: they are received in the sender's context, what the gateway sends in
	// its own and what it is sent in others'. Only the time of processes can be
	// told then.
	Offloads bool
	// Steered leaves the gateway's ends to the product's XDP program. Thread is
	// to be called when it is attached.
	Steered bool
}

// New builds a wire. On error nothing is left.
func New(o Options) (*Wire, error) {
	w := &Wire{Outside: o.Name + "ext", Inside: o.Name + "int", offloads: o.Offloads}
	if err := w.build(o); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *Wire) build(o Options) (err error) {
	for _, n := range []**nettest.Namespace{&w.Client, &w.Gateway, &w.Backend, &w.relay} {
		if *n, err = nettest.New(""); err != nil {
			return err
		}
	}
	if err := w.Gateway.SetSysctl("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	if err := w.link(o, w.Client, o.Name+"cli", w.Outside, client, outside); err != nil {
		return err
	}
	backend := netip.PrefixFrom(BackendAddr, inside.Bits())
	if err := w.link(o, w.Backend, o.Name+"bak", w.Inside, backend, inside); err != nil {
		return err
	}
	if err := w.Gateway.AddAddr(w.Outside, netip.PrefixFrom(VIP, VIP.BitLen())); err != nil {
		return err
	}
	// Replies to a VIP's own address go to the gateway.
	return w.Backend.SetDefaultRoute(inside.Addr())
}

// link joins a host to the gateway and gives both their addresses.
func (w *Wire) link(o Options, host *nettest.Namespace, hostEnd, end string, hostAddr, addr netip.Prefix) error {
	join := w.relayed
	if o.Offloads {
		join = w.direct
	}
	if err := join(o, host, hostEnd, end); err != nil {
		return err
	}
	return errors.Join(host.AddAddr(hostEnd, hostAddr), w.Gateway.AddAddr(end, addr))
}

// direct is a veth that keeps its offloads.
func (w *Wire) direct(_ Options, host *nettest.Namespace, hostEnd, end string) error {
	if err := nettest.Veth(host, hostEnd, w.Gateway, end); err != nil {
		return err
	}
	return errors.Join(host.Unwirelike(hostEnd), w.Gateway.Unwirelike(end))
}

// relayed is a way over the relay. The gateway's end has no NAPI before it has a
// program.
func (w *Wire) relayed(o Options, host *nettest.Namespace, hostEnd, end string) error {
	near, far := end+"r", hostEnd+"r"
	err := errors.Join(
		nettest.Veth(host, hostEnd, w.relay, far),
		nettest.Veth(w.Gateway, end, w.relay, near))
	if err != nil {
		return err
	}
	err = errors.Join(
		w.relay.Relay(near, far), threaded(w.relay, near), threaded(w.relay, far),
		host.AttachPass(hostEnd), threaded(host, hostEnd))
	if err != nil || o.Steered {
		return err
	}
	return errors.Join(w.Gateway.AttachPass(end), threaded(w.Gateway, end))
}

// Thread gives the gateway's interfaces their threads.
func (w *Wire) Thread() error {
	return errors.Join(threaded(w.Gateway, w.Outside), threaded(w.Gateway, w.Inside))
}

// Close takes the wire and all that runs in it down.
func (w *Wire) Close() error {
	var errs []error
	for _, n := range []*nettest.Namespace{w.Client, w.Gateway, w.Backend, w.relay} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}

// Time is what the gateway has spent so far: its interfaces' kernel threads,
// and the processes given with all their children.
func (w *Wire) Time(pids ...int) (Spent, error) {
	var s Spent
	ends := []string{w.Outside, w.Inside}
	if w.offloads {
		ends = nil
	}
	for _, end := range ends {
		t, err := napiTime(end)
		if err != nil {
			return s, fmt.Errorf("read the time of interface %s: %v", end, err)
		}
		s.NAPI += t
	}
	t, err := processTime(pids)
	s.Processes = t
	return s, err
}
