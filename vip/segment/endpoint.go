package segment

import (
	"errors"
	"sync/atomic"

	"sluice/vip/socket"
)

// largest is how long a received packet may be, an IPv4 header included. An
// advert with 255 IPv6 addresses and an authentication trailer has 4 116 bytes.
const largest = 8192

// endpoint is what is open on an interface.
type endpoint struct {
	link  socket.Link
	watch *socket.Watch
	// ip receives, and sends what the kernel makes a header for.
	ip *socket.Socket
	// wire sends complete frames; nil where there are none.
	wire *socket.Socket
	done chan struct{}
	odd  atomic.Uint64
}

// serve starts to hand to hear what is received.
func (e *endpoint) serve(hear func(socket.Message)) {
	e.done = make(chan struct{})
	go func() {
		defer close(e.done)
		e.ip.Serve(largest, hear, func() { e.odd.Add(1) })
	}()
}

// Close stops receiving and waits until Receive has returned; Receive must not
// call it. It may be called once.
func (e *endpoint) Close() error {
	err := e.release()
	<-e.done
	return err
}

// release closes all that is open.
func (e *endpoint) release() error {
	var errs []error
	if e.watch != nil {
		errs = append(errs, e.watch.Close())
	}
	for _, open := range []*socket.Socket{e.ip, e.wire} {
		if open != nil {
			errs = append(errs, open.Close())
		}
	}
	return errors.Join(errs...)
}
