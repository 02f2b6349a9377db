package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// call answers one request with a value to be sent as JSON, or with an error.
type call func(w http.ResponseWriter, r *http.Request) (any, error)

// routes returns the API. The streams end when stop is done.
func (s *Server) routes(stop context.Context) http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, h http.Handler) {
		mux.Handle(method+" "+path, h)
		mux.Handle(path, refuse(CodeMethodNotAllowed, path+" takes "+method+" only", ""))
	}
	for path, c := range map[string]call{
		"/v1/version":      s.version,
		"/v1/status":       s.status,
		"/v1/nodes":        s.nodes,
		"/v1/services":     s.services,
		"/v1/backends":     s.backends,
		"/v1/drops":        s.drops,
		"/v1/flows":        s.flows,
		"/v1/bans":         s.bans,
		"/v1/vips":         s.vips,
		"/v1/alarms":       s.alarms,
		"/v1/history":      s.history,
		"/v1/explain":      s.explain,
		"/v1/explain/fail": s.explainFail,
		"/v1/settings":     s.settings,
	} {
		handle(http.MethodGet, path, s.answer(c))
	}
	for path, c := range map[string]call{
		"/v1/settings/diff":    s.diff,
		"/v1/settings/apply":   s.logged(s.apply),
		"/v1/backends/drain":   s.logged(s.drain),
		"/v1/backends/disable": s.logged(s.disable),
		"/v1/backends/enable":  s.logged(s.enable),
		"/v1/backends/weight":  s.logged(s.weight),
		"/v1/bans/add":         s.logged(s.ban),
		"/v1/bans/remove":      s.logged(s.unban),
		"/v1/vips/swap":        s.logged(s.swap),
		"/v1/vips/resign":      s.logged(s.resign),
	} {
		handle(http.MethodPost, path, s.answer(c))
	}
	handle(http.MethodGet, "/v1/events", s.stream(stop))
	mux.Handle("/", refuse(CodeNotFound, "no such path", "paths of this version begin with /v1/"))
	return mux
}

func refuse(code Code, message, hint string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, NewError(code, message, hint))
	})
}

// answer runs c under the deadline of a call and sends what it returns.
func (s *Server) answer(c call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		v, err := c(w, r.WithContext(ctx))
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, v)
	})
}

// logged records who gave an order and what became of it.
func (s *Server) logged(c call) call {
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		v, err := c(w, r)
		p, _ := r.Context().Value(peerKey{}).(peer)
		if err != nil {
			s.log.Warn("refused order", "path", r.URL.Path, "uid", p.uid, "pid", p.pid, "err", err)
		} else {
			s.log.Info("carried out order", "path", r.URL.Path, "uid", p.uid, "pid", p.pid)
		}
		return v, err
	}
}

// writeJSON sends v, encoded before the first byte leaves so that a value that
// cannot be encoded is still answered as an error.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		writeError(w, fmt.Errorf("encode answer: %v", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a peer that hung up learns nothing more
}

// writeError sends err as an Error, which it is or becomes.
func writeError(w http.ResponseWriter, err error) {
	var e *Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.DeadlineExceeded):
		e = NewError(CodeUnavailable, fmt.Sprintf("no answer from the node within %v", callTimeout), "look at the node's log; ask again")
	default:
		e = NewError(CodeInternal, err.Error(), "look at the node's log")
	}
	writeJSON(w, e.Code.status(), e)
}
