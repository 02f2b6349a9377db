package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

var key = [KeySize]byte{7}

// recorded keeps what one end writes.
type recorded struct {
	net.Conn
	mu   sync.Mutex
	sent []byte
}

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.sent = append(r.sent, p...)
	r.mu.Unlock()
	return r.Conn.Write(p)
}

// wire is a connection that delivers fixed bytes, then its end, and takes
// whatever is written.
type wire struct {
	net.Conn
	in io.Reader
}

func (w wire) Read(p []byte) (int, error)  { return w.in.Read(p) }
func (w wire) Write(p []byte) (int, error) { return len(p), nil }

type result struct {
	conn *Conn
	err  error
}

// join shakes hands over a pipe; each end has its own idea of key and names.
func join(t *testing.T, dialKey, acceptKey [KeySize]byte, dialNames, acceptNames [2]string) (dialled, accepted result, raw *recorded) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	raw = &recorded{Conn: a}
	done := make(chan result)
	go func() {
		c, err := Accept(b, acceptKey, acceptNames[0], acceptNames[1])
		if err != nil {
			b.Close()
		}
		done <- result{c, err}
	}()
	c, err := Dial(raw, dialKey, dialNames[0], dialNames[1])
	if err != nil {
		a.Close()
	}
	return result{c, err}, <-done, raw
}

// pair returns two ends that trust each other.
func pair(t *testing.T) (a, b *Conn, raw *recorded) {
	t.Helper()
	d, acc, raw := join(t, key, key, [2]string{"a", "b"}, [2]string{"b", "a"})
	if err := errors.Join(d.err, acc.err); err != nil {
		t.Fatal(err)
	}
	return d.conn, acc.conn, raw
}

func TestRecordsPassBothWays(t *testing.T) {
	a, b, raw := pair(t)
	for _, size := range []int{1, 2, 1000, MaxRecord} {
		want := bytes.Repeat([]byte("x"), size)
		for _, ends := range [][2]*Conn{{a, b}, {b, a}} {
			sent := make(chan error)
			go func() { sent <- ends[0].WriteRecord(want) }()
			got, err := ends[1].ReadRecord()
			if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: read %d, %v", size, len(got), err)
			}
		}
	}
	if bytes.Contains(raw.sent, bytes.Repeat([]byte("x"), 8)) {
		t.Error("what was sent can be read on the wire")
	}
	for _, size := range []int{0, MaxRecord + 1} {
		if err := a.WriteRecord(make([]byte, size)); err == nil {
			t.Errorf("a record of %d bytes was sent", size)
		}
	}
}

func TestWhoHasNoKeyGetsNothing(t *testing.T) {
	right, back := [2]string{"a", "b"}, [2]string{"b", "a"}
	for name, c := range map[string]struct {
		dialKey, acceptKey [KeySize]byte
		dial, accept       [2]string
	}{
		"another key":        {[KeySize]byte{8}, key, right, back},
		"no key":             {[KeySize]byte{}, key, right, back},
		"no key there":       {key, [KeySize]byte{}, right, back},
		"another name":       {key, key, [2]string{"c", "b"}, back},
		"meant for another":  {key, key, [2]string{"a", "c"}, back},
		"led back to itself": {key, key, right, [2]string{"a", "b"}},
		"names run together": {key, key, [2]string{"ab", "c"}, [2]string{"bc", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, a, _ := join(t, c.dialKey, c.acceptKey, c.dial, c.accept)
			if d.err == nil || a.err == nil {
				t.Errorf("the dialling end says %v, the other %v", d.err, a.err)
			}
		})
	}
}

func TestStrangersAreToldApart(t *testing.T) {
	for name, sent := range map[string][]byte{
		"SSH":   append([]byte("SSH-2.0-OpenSSH_10.0\r\n"), make([]byte, 200)...),
		"short": []byte("sluice flow sync 1\n"),
		"empty": nil,
		"zeros": make([]byte, 500),
	} {
		if _, err := Accept(wire{in: bytes.NewReader(sent)}, key, "b", "a"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// capture returns the bytes of records as they were on the wire, and the two
// ends, of which b has read none of them.
func capture(t *testing.T, records ...string) (stream [][]byte, a, b *Conn) {
	t.Helper()
	a, b, raw := pair(t)
	for _, r := range records {
		at := len(raw.sent)
		read := make(chan struct{})
		go func() {
			defer close(read)
			if _, err := b.Conn.Read(make([]byte, 1<<17)); err != nil {
				t.Error(err)
			}
		}()
		if err := a.WriteRecord([]byte(r)); err != nil {
			t.Fatal(err)
		}
		<-read
		stream = append(stream, bytes.Clone(raw.sent[at:]))
	}
	return stream, a, b
}

// readAll reads records off a stream until it fails.
func readAll(b *Conn, stream ...[]byte) (got []string, err error) {
	b.Conn = wire{in: bytes.NewReader(bytes.Join(stream, nil))}
	for {
		r, err := b.ReadRecord()
		if err != nil {
			return got, err
		}
		got = append(got, string(r))
	}
}

func TestNothingWrongIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s [][]byte) [][]byte
		want   []string
		eof    bool
	}{
		"as sent":          {func(s [][]byte) [][]byte { return s }, []string{"one", "two", "three"}, true},
		"one left out":     {func(s [][]byte) [][]byte { return [][]byte{s[0], s[2]} }, []string{"one"}, false},
		"the first":        {func(s [][]byte) [][]byte { return s[1:] }, nil, false},
		"one twice":        {func(s [][]byte) [][]byte { return [][]byte{s[0], s[0], s[1]} }, []string{"one"}, false},
		"two exchanged":    {func(s [][]byte) [][]byte { return [][]byte{s[1], s[0], s[2]} }, nil, false},
		"the end cut off":  {func(s [][]byte) [][]byte { return [][]byte{s[0], s[1][:len(s[1])-1]} }, []string{"one"}, false},
		"half a length":    {func(s [][]byte) [][]byte { return [][]byte{s[0], s[1][:1]} }, []string{"one"}, false},
		"too short to be":  {func(s [][]byte) [][]byte { return [][]byte{{0, 16}, make([]byte, 16)} }, nil, false},
		"a byte more":      {func(s [][]byte) [][]byte { return [][]byte{s[0], {0}, s[1]} }, []string{"one"}, false},
		"all once more":    {func(s [][]byte) [][]byte { return append(s, s...) }, []string{"one", "two", "three"}, false},
		"cut between them": {func(s [][]byte) [][]byte { return s[:2] }, []string{"one", "two"}, true},
	} {
		stream, _, b := capture(t, "one", "two", "three")
		got, err := readAll(b, c.change(stream)...)
		if fmt.Sprint(got) != fmt.Sprint(c.want) || errors.Is(err, io.EOF) != c.eof {
			t.Errorf("%s: read %q, then %v", name, got, err)
		}
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	stream, _, b := capture(t, "one")
	for i := range 8 * len(stream[0]) {
		again := *b
		in := *b.in
		again.in = &in
		bad := bytes.Clone(stream[0])
		bad[i/8] ^= 1 << (i % 8)
		if got, _ := readAll(&again, bad, make([]byte, 1<<17)); len(got) > 0 {
			t.Errorf("bit %d: read %q", i, got)
		}
	}
}

// What one end sent is not taken for what the other did.
func TestReflectionIsNoticed(t *testing.T) {
	stream, a, _ := capture(t, "mine")
	if got, _ := readAll(a, stream...); got != nil {
		t.Errorf("an end read its own %q", got)
	}
}

// A recorded connection is of no use: the handshake may be answered, but what
// followed it cannot be opened.
func TestReplayedConnectionProvesNothing(t *testing.T) {
	a, b, raw := pair(t)
	done := make(chan error)
	go func() { done <- a.WriteRecord([]byte("hello")) }()
	if _, err := b.ReadRecord(); err != nil || <-done != nil {
		t.Fatal(err)
	}
	c, err := Accept(wire{in: bytes.NewReader(raw.sent)}, key, "b", "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.ReadRecord(); err == nil {
		t.Errorf("a copy of another connection was read: %q", got)
	}
}

func TestKeysChange(t *testing.T) {
	a, b, _ := pair(t)
	const records = rekeyAfter + 10
	sent := make(chan error)
	go func() {
		for i := range records {
			if err := a.WriteRecord([]byte{byte(i)}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	before := b.in.UnsafeKey()
	for i := range records {
		got, err := b.ReadRecord()
		if err != nil || len(got) != 1 || got[0] != byte(i) {
			t.Fatalf("record %d: %q, %v", i, got, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if b.in.UnsafeKey() == before {
		t.Errorf("the key is the same after %d records", records)
	}
}
