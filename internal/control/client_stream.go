package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxEventLine bounds one line of the stream.
const maxEventLine = 1 << 20

// An EventStream reads the events of a node. It is for one goroutine.
type EventStream struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// Events opens the stream of the events f lets through, from now on. It
// returns once the node has subscribed the caller, so that nothing that is
// caused afterwards is missed. The stream ends with ctx or Close.
func (c *Client) Events(ctx context.Context, f EventFilter) (*EventStream, error) {
	r, err := c.open(ctx, http.MethodGet, "/v1/events", f.Values(), nil)
	if err != nil {
		return nil, err
	}
	s := &EventStream{body: r.Body, lines: bufio.NewScanner(r.Body)}
	s.lines.Buffer(make([]byte, 0, 4096), maxEventLine)
	if !s.lines.Scan() { // the comment that greets a subscriber
		_ = r.Body.Close()
		return nil, &UnreachableError{c.socket, s.end()}
	}
	return s, nil
}

// Next waits for the next event. It returns io.EOF when the node ended the
// stream.
func (s *EventStream) Next() (Event, error) {
	for s.lines.Scan() {
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok {
			continue // number, kind, comment or the blank line between events
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return Event{}, fmt.Errorf("read event: %v", err)
		}
		return e, nil
	}
	return Event{}, s.end()
}

func (s *EventStream) end() error {
	if err := s.lines.Err(); err != nil {
		return err
	}
	return io.EOF
}

// Close ends the stream.
func (s *EventStream) Close() error { return s.body.Close() }
