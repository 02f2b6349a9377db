package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestStream(t *testing.T) {
	m := &memory{}
	o := m.options()
	c := dial(t, serve(t, New(o)))
	stream, err := c.Events(context.Background(), EventFilter{Kinds: []EventKind{EventBackendState}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	o.Events.Publish(Event{Kind: EventFlowClosed, Flow: &FlowEvent{Service: "sftp"}})
	o.Events.Publish(Event{Kind: EventBackendState, Backend: &BackendEvent{Name: "blue\n1", State: StateDown}})
	e, err := stream.Next()
	if err != nil {
		t.Fatal(err)
	}
	if e.Seq != 2 || e.Kind != EventBackendState || e.Backend == nil || e.Backend.Name != "blue\n1" || e.Time.IsZero() {
		t.Errorf("got %+v", e)
	}
}

// TestStreamOnTheWire pins the frames, which other programs read.
func TestStreamOnTheWire(t *testing.T) {
	m := &memory{}
	o := m.options()
	conn, err := net.Dial("unix", serve(t, New(o)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /v1/events HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	until := func(want string) string {
		var read []string
		for lines.Scan() {
			read = append(read, lines.Text())
			if strings.HasPrefix(lines.Text(), want) {
				return strings.Join(read, "\n")
			}
		}
		t.Fatalf("no line %q in:\n%s", want, strings.Join(read, "\n"))
		return ""
	}
	if head := until(": subscribed"); !strings.Contains(head, "Content-Type: text/event-stream") {
		t.Errorf("header:\n%s", head)
	}
	o.Events.Publish(Event{Time: time.Unix(0, 0).UTC(), Kind: EventFlowRefused, Flow: &FlowEvent{Service: "sftp", Reason: "no_backend"}})
	want := "\nid: 1\nevent: flow_refused\n" +
		`data: {"seq":1,"time":"1970-01-01T00:00:00Z","kind":"flow_refused",` +
		`"flow":{"client":"","listen":"","service":"sftp","backend":"","reason":"no_backend"}}`
	if got := until("data: "); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestGapOnTheWire: a gap has no number, or a reader would take it for the
// place to go on from.
func TestGapOnTheWire(t *testing.T) {
	got := frame(Event{Kind: EventGap, Time: time.Unix(0, 0).UTC(), Lost: 3})
	want := "event: gap\ndata: {\"seq\":0,\"time\":\"1970-01-01T00:00:00Z\",\"kind\":\"gap\",\"lost\":3}\n\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestStreamIsRefusedWhenFull: the limit of subscribers is told as an error of
// the API, before any stream begins.
func TestStreamIsRefusedWhenFull(t *testing.T) {
	m := &memory{}
	o := m.options()
	for range maxSubscribers {
		subscribe(t, o.Events, EventFilter{})
	}
	c := dial(t, serve(t, New(o)))
	if _, err := c.Events(context.Background(), EventFilter{}); !IsCode(err, CodeUnavailable) {
		t.Errorf("error %v, want one of code unavailable", err)
	}
}

// TestStreamEndsWithServer: a stream must not hold up the end of the node.
func TestStreamEndsWithServer(t *testing.T) {
	m := &memory{}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Listen(t.TempDir() + "/c.sock")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- New(m.options()).Serve(ctx, l) }()
	c := dial(t, l.path)
	stream, err := c.Events(context.Background(), EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	cancel()
	if _, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want io.EOF", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took >= stopTimeout {
		t.Errorf("the end took %v: the stream was cut off instead of ended", took)
	}
	_ = stream.Close()
}

// TestStreamEndsWithReader: a reader that hangs up gives its place back.
func TestStreamEndsWithReader(t *testing.T) {
	m := &memory{}
	o := m.options()
	c := dial(t, serve(t, New(o)))
	stream, err := c.Events(context.Background(), EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if got := subscriptions(o.Events); got != 1 {
		t.Errorf("%d subscriptions, want 1", got)
	}
	_ = stream.Close()
	for deadline := time.Now().Add(5 * time.Second); subscriptions(o.Events) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the subscription outlives its reader")
		}
	}
}

func subscriptions(b *Broker) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subscribers)
}

// TestSlowReaderOfTheStream publishes far more than socket and buffer hold to a
// reader that does not read, then reads all: publishing never waits, and what
// is missing is accounted for exactly.
func TestSlowReaderOfTheStream(t *testing.T) {
	const events = 50000
	m := &memory{}
	o := m.options()
	c := dial(t, serve(t, New(o)))
	stream, err := c.Events(context.Background(), EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	padding := strings.Repeat("x", 512)
	for range events {
		o.Events.Publish(Event{Kind: EventFlowClosed, Flow: &FlowEvent{Service: padding}})
	}
	var seen, lost, last uint64
	for seen+lost < events {
		e, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == EventGap {
			lost += e.Lost
			continue
		}
		seen++
		if want := seen + lost; e.Seq != want {
			t.Fatalf("event %d stands where %d belongs, after %d", e.Seq, want, last)
		}
		last = e.Seq
	}
	if lost == 0 {
		t.Error("nothing was lost: the reader was not slow")
	}
}
