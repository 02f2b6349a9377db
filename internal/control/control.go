// Package control is how people and programs talk to a running node: an
// HTTP/JSON server on a unix socket, its client, and the types on the wire.
//
// The socket answers root and the user the node runs as; the kernel tells who
// is asking. Paths begin with the version of the API, /v1. Requests are
// decoded strictly, bodies are bounded, every call has a deadline. A refusal is
// an [Error] in JSON: what failed and what to do next.
//
// The package knows nothing of steering. It declares, in source.go, the small
// interfaces of what it needs; package node passes the implementers in.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Deadlines of the server. A settings change may have to resolve next hops
// and probe the kernel, hence the length of a call. The deadlines for reading
// and writing are beyond it: one that passes ends the call it belongs to.
const (
	headerTimeout = 5 * time.Second
	callTimeout   = 60 * time.Second
	readTimeout   = callTimeout + 10*time.Second
	writeTimeout  = callTimeout + 10*time.Second
	idleTimeout   = 60 * time.Second
	stopTimeout   = 3 * time.Second
)

const maxHeader = 16 << 10

// Options are what a Server needs. Every field but Failover and Logger must be
// set.
type Options struct {
	Build    Build
	Status   StatusSource
	Counters CounterSource
	Flows    FlowSource
	Drainer  Drainer
	Weigher  Weigher
	Guardian Guardian
	Settings SettingsStore
	Explain  Explainer
	// Failover may be nil: there are no virtual clusters then.
	Failover FailoverSource
	Events   *Broker
	// Logger gets one line for each order that came in, with who gave it; nil
	// discards.
	Logger *slog.Logger
}

// A Server answers the control API.
type Server struct {
	o     Options
	log   *slog.Logger
	allow func(peer) error
	grace time.Duration // how long calls may go on after the end
	// unread is since when the virtual clusters cannot be read; nil while they can.
	unread atomic.Pointer[time.Time]
}

// New returns a Server. It panics when a source is missing: that is a mistake
// of the program, not of its user.
func New(o Options) *Server {
	for name, missing := range map[string]bool{
		"Status":   o.Status == nil,
		"Counters": o.Counters == nil,
		"Flows":    o.Flows == nil,
		"Drainer":  o.Drainer == nil,
		"Weigher":  o.Weigher == nil,
		"Guardian": o.Guardian == nil,
		"Settings": o.Settings == nil,
		"Explain":  o.Explain == nil,
		"Events":   o.Events == nil,
	} {
		if missing {
			panic("control: Options." + name + " is nil")
		}
	}
	s := &Server{o: o, log: o.Logger, allow: allowRootAndSelf, grace: stopTimeout}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Serve answers on l until ctx is done, then lets calls under way finish for
// a few seconds, ends the streams and closes l. It returns nil when ctx ended
// it, else why the listener failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Calls under way outlive ctx for the grace, streams do not.
	calls, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer endCalls()
	h := &http.Server{
		Handler:           guard(s.routes(ctx), s.allow),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return calls },
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	select {
	case err := <-failed:
		_ = h.Close()
		return fmt.Errorf("serve control socket: %v", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if err := h.Shutdown(limit); err != nil {
		_ = h.Close() // what is still under way after the grace is cut off
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve control socket: %v", err)
	}
	return nil
}
