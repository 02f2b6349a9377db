package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestValueThatCannotBeEncoded is answered as an error, not as half an answer.
func TestValueThatCannotBeEncoded(t *testing.T) {
	w := httptest.NewRecorder()
	writeJSON(w, http.StatusOK, map[string]any{"a": 1, "b": func() {}})
	var e Error
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Code != CodeInternal || w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
}

func TestErrorsBecomeErrors(t *testing.T) {
	inner := NewError(CodeNotFound, "no backend \"blue\"", "look")
	for _, tt := range []struct {
		err  error
		want Error
	}{
		{inner, *inner},
		{fmt.Errorf("outer: %w", inner), *inner},
		{errors.New("read map: gone"), Error{Code: CodeInternal, Message: "read map: gone", Hint: "look at the node's log"}},
		{fmt.Errorf("scan: %w", context.DeadlineExceeded), Error{Code: CodeUnavailable, Message: "no answer from the node within 1m0s",
			Hint: "look at the node's log; ask again"}},
	} {
		w := httptest.NewRecorder()
		writeError(w, tt.err)
		var got Error
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Code != tt.want.Code || got.Message != tt.want.Message || got.Hint != tt.want.Hint || w.Code != got.Code.status() {
			t.Errorf("%v: status %d, %+v, want %+v", tt.err, w.Code, got, tt.want)
		}
	}
}

func TestIsCode(t *testing.T) {
	err := fmt.Errorf("outer: %w", NewError(CodeConflict, "m", "h"))
	if !IsCode(err, CodeConflict) || IsCode(err, CodeInvalid) || IsCode(errors.New("m"), CodeConflict) || IsCode(nil, CodeConflict) {
		t.Errorf("IsCode of %v is wrong", err)
	}
}

// TestExplainUnmapsAddresses: clients over IPv4 are IPv4, however they are
// written.
func TestExplainUnmapsAddresses(t *testing.T) {
	m := &memory{}
	c := dial(t, serve(t, New(m.options())))
	client := netip.MustParseAddrPort("[::ffff:198.51.100.7]:40022")
	if _, err := c.Explain(context.Background(), client, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if got, want := m.last(), "explain 198.51.100.7:40022 invalid AddrPort"; got != want {
		t.Errorf("the source was asked %q, want %q", got, want)
	}
}

// TestHeaderIsBounded: a peer cannot make the node hold a header of any size.
func TestHeaderIsBounded(t *testing.T) {
	conn, err := net.Dial("unix", serve(t, New((&memory{}).options())))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() { // the server answers before it has read all
		_, _ = io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 1<<20))
	}()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %s", r.Status)
	}
}

// TestManyAtOnce lets clients, orders and streams meet under the race detector.
func TestManyAtOnce(t *testing.T) {
	m := &memory{changes: []BackendChange{{Name: "blue", StateWas: StateUp, State: StateDraining}}}
	o := m.options()
	c := dial(t, serve(t, New(o)))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			stream, err := c.Events(ctx, EventFilter{})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = stream.Close() }()
			for range 20 {
				if _, err := c.Drain(ctx, Selection{Backends: []string{"blue"}}, DrainOptions{}); err != nil {
					t.Error(err)
				}
				if _, err := c.Status(ctx); err != nil {
					t.Error(err)
				}
				o.Events.Publish(Event{Kind: EventBackendState, Backend: &BackendEvent{Name: "blue"}})
			}
			if _, err := stream.Next(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// TestDefaultsOfAQuery: what the client leaves out, the server fills in, so
// that sources need no defaults of their own.
func TestDefaultsOfAQuery(t *testing.T) {
	m := &memory{}
	c := dial(t, serve(t, New(m.options())))
	if _, err := c.Flows(context.Background(), FlowQuery{}); err != nil {
		t.Fatal(err)
	}
	if got := m.last(); !strings.Contains(got, "Sort:client") || !strings.Contains(got, "Limit:100") {
		t.Errorf("the source was asked %q", got)
	}
	if _, err := c.Flows(context.Background(), FlowQuery{Limit: MaxFlowLimit + 1}); !IsCode(err, CodeInvalid) {
		t.Errorf("a page over the limit: %v", err)
	}
}
