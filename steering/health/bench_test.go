package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// network stands in for backends. How each behaves can change at any time.
type network struct {
	mu      sync.Mutex
	manner  map[netip.AddrPort]string
	dialled map[netip.AddrPort][]time.Time
	open    int
	most    int // open at a time
}

// The manners besides a banner to be sent.
const (
	refuses   = "refuses"
	swallows  = "swallows" // packets to it vanish
	keepsMum  = "keeps mum"
	newServer = "SSH-2.0-OpenSSH_10.0\r\n"
	oldServer = "SSH-2.0-OpenSSH_9.2\r\n"
)

func newNetwork() *network {
	return &network{manner: make(map[netip.AddrPort]string), dialled: make(map[netip.AddrPort][]time.Time)}
}

func (n *network) set(at netip.AddrPort, manner string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.manner[at] = manner
}

func (n *network) times(at netip.AddrPort) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dialled[at])
}

func (n *network) dial(ctx context.Context, t Target) (net.Conn, error) {
	n.mu.Lock()
	manner := n.manner[t.Dial]
	n.dialled[t.Dial] = append(n.dialled[t.Dial], time.Now())
	n.open++
	n.most = max(n.most, n.open)
	n.mu.Unlock()
	left := func() {
		n.mu.Lock()
		n.open--
		n.mu.Unlock()
	}
	switch manner {
	case refuses, "":
		left()
		return nil, errors.New("connection refused")
	case swallows:
		<-ctx.Done()
		left()
		return nil, ctx.Err()
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		if manner != keepsMum {
			if _, err := io.WriteString(there, manner); err != nil {
				return
			}
			// sshd leaves as soon as it has read a disconnect.
			_, _ = io.ReadFull(there, make([]byte, len(goodbye)))
			return
		}
		_, _ = io.Copy(io.Discard, there)
	}()
	return &counted{Conn: here, left: sync.OnceFunc(left)}, nil
}

// counted is a connection that says when its owner closes it.
type counted struct {
	net.Conn
	left func()
}

func (c *counted) Close() error {
	c.left()
	return c.Conn.Close()
}

// bench is a checker in the bubble of a synctest.
type bench struct {
	*network
	c    *Checker
	mu   sync.Mutex
	told []Change
	stop func()
}

func newBench(o Options) *bench {
	b := &bench{network: newNetwork()}
	o.dial = b.dial
	if o.Notify == nil {
		o.Notify = func(c Change) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.told = append(b.told, c)
		}
	}
	b.c = New(o)
	return b
}

func (b *bench) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.c.Run(ctx); close(done) }()
	b.stop = func() { cancel(); <-done }
}

// states lists what was told, as "name: from→to".
func (b *bench) states() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, c := range b.told {
		out = append(out, fmt.Sprintf("%s: %v→%v", c.Name, c.From, c.To))
	}
	return out
}

func number(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 22)
}

func target(n int) Target { return direct(number(n), Settings{}) }

func statusOf(t *testing.T, c *Checker, name string) Status {
	t.Helper()
	for _, s := range c.Snapshot() {
		if s.Target.Name == name {
			return s
		}
	}
	t.Fatalf("no status of %q", name)
	return Status{}
}
