package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// keepAlive is how often a quiet stream shows that it lives.
	keepAlive = 15 * time.Second
	// stallTimeout is how long a reader may leave the socket full before the
	// stream ends; until then it only loses events.
	stallTimeout = time.Minute
)

// stream answers GET /v1/events as Server-Sent Events: for each event its
// number, its kind and its JSON, and a comment where nothing happened for a
// while. It ends with the reader or when stop is done.
func (s *Server) stream(stop context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := eventFilter(r.URL.Query())
		if err != nil {
			writeError(w, err)
			return
		}
		sub, err := s.o.Events.Subscribe(f)
		if err != nil {
			writeError(w, err)
			return
		}
		defer sub.Close()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		pump(ctx, w, sub)
	})
}

// pump writes events until the reader is gone or ctx is done.
func pump(ctx context.Context, w http.ResponseWriter, sub *Subscription) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the one of calls would end the stream
	send := func(text string) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(stallTimeout))
		if _, err := io.WriteString(w, text); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	if !send(": subscribed\n\n") {
		return
	}
	for {
		quiet, cancel := context.WithTimeout(ctx, keepAlive)
		e, err := sub.Next(quiet)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !send(": alive\n\n") {
				return
			}
		case !send(frame(e)):
			return
		}
	}
}

// frame is an event on the wire. A gap has no number: it is not an event of
// the node but of this stream.
func frame(e Event) string {
	data, err := json.Marshal(e)
	if err != nil {
		panic("control: an event cannot be encoded: " + err.Error()) // it holds plain values only
	}
	text := fmt.Sprintf("event: %s\ndata: %s\n\n", e.Kind, data)
	if e.Seq > 0 {
		text = fmt.Sprintf("id: %d\n", e.Seq) + text
	}
	return text
}
