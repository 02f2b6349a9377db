package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/links"
	"sluice/steering/health"
)

const (
	connectTimeout = 3 * time.Second
	// connectAtOnce is small enough for OpenSSH's MaxStartups.
	connectAtOnce = 8
)

// target is one backend address with the services that name it.
type target struct {
	name string
	addr netip.AddrPort
	// direct says that a mode which the client's path differs from ours in
	// names it: a one-way one, where the server may listen on the VIP alone.
	direct bool
	// proxy says that a service writes PROXY headers to it, checked that its
	// health check finds out whether they are read.
	proxy, checked bool
	took           time.Duration
	err            error
	reads          reading
}

// reading is what a server did with a PROXY header.
type reading struct {
	// server is what the SSH server calls itself, "" where it did not get there.
	server string
	err    error
}

// checkBackends connects to every backend, and then looks at the neighbour the
// connection has made known.
func checkBackends(ctx context.Context, e *examination) {
	targets := e.targets()
	connectAll(ctx, e.machine, targets)
	for _, t := range targets {
		subject := "backend " + t.name
		if e.checkWay(subject, t.addr.Addr()) {
			e.checkConnect(subject, t)
		}
		e.checkHealth(subject, t.addr)
	}
}

// targets are the backends, each address once, however many services name it.
// Mode sshd has none, and its own listener is not reached this way.
func (e *examination) targets() []*target {
	var list []*target
	byAddr := make(map[netip.AddrPort]*target)
	for _, s := range e.services(config.ModeNAT, config.ModeDSR, config.ModeIPIP, config.ModeGUE) {
		for _, b := range s.Backends {
			t := byAddr[b.Addr]
			if t == nil {
				t = &target{name: b.Name, addr: b.Addr}
				byAddr[b.Addr] = t
				list = append(list, t)
			}
			t.direct = t.direct || s.Mode.OneWay()
			if s.ClientAddress == config.ClientProxyV2 {
				t.proxy, t.checked = true, t.checked || s.HealthCheck.Type == config.HealthCheckSSH
			}
		}
	}
	return list
}

// connectAll connects to a few at a time. A server that limits unauthenticated
// connections must not take the doctor for an attack, nor turn users away
// because of it.
func connectAll(ctx context.Context, p prober, targets []*target) {
	var wg sync.WaitGroup
	turn := make(chan struct{}, connectAtOnce)
	for _, t := range targets {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			bounded, cancel := context.WithTimeout(ctx, connectTimeout)
			defer cancel()
			if t.took, t.err = p.Connect(bounded, t.addr); t.err == nil && t.proxy {
				t.reads.server, t.reads.err = p.GreetProxy(bounded, t.addr)
			}
		})
	}
	wg.Wait()
}

// checkWay says whether XDP can send there: a route, an interface that carries
// the program, a neighbour that answers.
func (e *examination) checkWay(subject string, to netip.Addr) bool {
	w, found, err := e.machine.Way(to)
	switch {
	case err != nil:
		e.warn(subject, err.Error(), "run doctor as root")
		return true
	case !found:
		e.fail(subject, "no route to "+to.String(), "add a route, or correct the address")
		return false
	}
	if carrier := e.carrierOf(w.Link); !e.carries(carrier) {
		e.fail(subject, fmt.Sprintf("is reached by %s, which does not carry the XDP program", w.Link),
			"add "+carrier+" to dataplane.interfaces")
	}
	next := w.next(to)
	switch {
	case w.Failed:
		e.fail(subject, fmt.Sprintf("nobody answers for %s on %s, which is the next hop", next, w.Link), "see that it is up and on that network")
		return false
	case len(w.MAC) == 0:
		e.warn(subject, fmt.Sprintf("the MAC address of the next hop %s on %s is not known", next, w.Link), "see that it is up and on that network")
	default:
		e.pass(subject, "next hop %s (%s) on %s", next, w.MAC, w.Link)
	}
	return true
}

// carrierOf names what frames of an interface come and go by.
func (e *examination) carrierOf(name string) string {
	for _, l := range e.links {
		if l.Name == name {
			return links.Carrier(e.links, l).Name
		}
	}
	return name
}

// checkConnect judges a connection from this machine to the backend itself. It
// proves the way there and that somebody listens, not the path of clients: that
// is what the node's health checks are for.
func (e *examination) checkConnect(subject string, t *target) {
	if t.err == nil {
		e.pass(subject, "%s accepts connections, after %s", t.addr, t.took.Round(10*time.Microsecond))
		e.checkProxy(subject, t)
		return
	}
	text, hint := fmt.Sprintf("%s: %v", t.addr, t.err), "see that the machine is up and no filter is between"
	if errors.Is(t.err, syscall.ECONNREFUSED) {
		text, hint = t.addr.String()+" refuses connections", "start the SSH server there, or correct the port"
	}
	if t.direct {
		// The server may be bound to the VIP; health checks tell better.
		e.warn(subject, text, hint+"; in a one-way mode a server on the VIP alone is right, too")
		return
	}
	e.fail(subject, text, hint)
}

// checkProxy finds servers that no client could log in to, before one tries.
// Where the health check is not of SSH, only one that names itself is surely an
// SSH server.
func (e *examination) checkProxy(subject string, t *target) {
	switch {
	case !t.proxy:
	case t.reads.err == nil:
		e.pass(subject, "%s accepts PROXY v2", t.reads.server)
	case errors.Is(t.reads.err, health.ErrNoProxy) && (t.checked || t.reads.server != ""):
		e.fail(subject, t.reads.err.Error(), "put a receiver in front of it, such as HAProxy (accept-proxy) or nginx (proxy_protocol), or set client_address: hide")
	case t.checked:
		e.warn(subject, fmt.Sprintf("whether it accepts PROXY v2 is not known: %v", t.reads.err), "ask again, or run \"sluice check --probe\"")
	}
}

// checkHealth repeats what the node's own checks found on the path of clients.
func (e *examination) checkHealth(subject string, addr netip.AddrPort) {
	for _, b := range e.node.backends {
		if b.Addr == addr && b.State == control.StateDown {
			e.fail(subject, "down by its health check: "+b.Reason, "see the line above; \"sluice show backends\" follows it")
		}
	}
}
