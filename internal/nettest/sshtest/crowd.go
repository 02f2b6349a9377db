package sshtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Opener opens one more session with something that sends back what it hears.
// The end of ctx ends the session, then or later.
type Opener func(ctx context.Context) (io.ReadWriteCloser, error)

// CrowdOptions say what a [Crowd] does.
type CrowdOptions struct {
	// Sessions is their number, Moving how many of them move data all the time;
	// the others are idle.
	Sessions, Moving int
	// AtOnce is how many are opened at a time. [8]
	AtOnce int
	// Block is how much a moving session sends at once, in bytes, and Every how
	// often. It waits for the echo before the next. [1 KiB, 50 ms]
	Block int
	Every time.Duration
}

func (o CrowdOptions) withDefaults() CrowdOptions {
	if o.AtOnce == 0 {
		o.AtOnce = 8
	}
	if o.Block == 0 {
		o.Block = 1 << 10
	}
	if o.Every == 0 {
		o.Every = 50 * time.Millisecond
	}
	return o
}

// Crowd is many sessions that are idle or move data, every byte of which is
// compared with what was sent.
type Crowd struct {
	options CrowdOptions
	members []*member
	moved   atomic.Int64
	stop    chan struct{}
	tasks   sync.WaitGroup
}

// member is one session of a crowd.
type member struct {
	conn io.ReadWriteCloser
	// abort ends the session without a word to the other side, which may be
	// beyond reach.
	abort context.CancelFunc
	// turn is held by whoever has sent and awaits the echo.
	turn   sync.Mutex
	random *rand.ChaCha8

	mu     sync.Mutex
	broken error
}

// NewCrowd opens the sessions and has the moving ones move. One that cannot be
// opened is an error, and then none is left.
func NewCrowd(ctx context.Context, open Opener, o CrowdOptions) (*Crowd, error) {
	c := &Crowd{options: o.withDefaults(), stop: make(chan struct{})}
	c.members = make([]*member, o.Sessions)
	errs := make([]error, o.Sessions)
	var opening sync.WaitGroup
	room := make(chan struct{}, c.options.AtOnce)
	for i := range c.members {
		room <- struct{}{}
		opening.Go(func() {
			c.members[i], errs[i] = newMember(ctx, open, i)
			<-room
		})
	}
	opening.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	moving := min(o.Moving, o.Sessions)
	for i, m := range c.members[:moving] {
		// Not all at the same moment.
		c.tasks.Go(func() { c.move(m, c.options.Every*time.Duration(i)/time.Duration(moving)) })
	}
	return c, nil
}

func newMember(ctx context.Context, open Opener, number int) (*member, error) {
	living, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, abort)() // ctx is for the opening alone
	conn, err := open(living)
	if err != nil {
		abort()
		return nil, fmt.Errorf("open session %d: %w", number, err)
	}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(number)+1)
	return &member{conn: conn, abort: abort, random: rand.NewChaCha8(seed)}, nil
}

// move exchanges blocks until the session breaks or the crowd is closed.
func (c *Crowd) move(m *member, after time.Duration) {
	first := time.NewTimer(after)
	defer first.Stop()
	select {
	case <-c.stop:
		return
	case <-first.C:
	}
	tick := time.NewTicker(c.options.Every)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		if m.exchange(c.options.Block) != nil {
			return
		}
		c.moved.Add(int64(c.options.Block))
	}
}

// exchange sends bytes that never come twice and compares what comes back. The
// first failure stays the session's.
func (m *member) exchange(size int) error {
	m.turn.Lock()
	defer m.turn.Unlock()
	if err := m.lost(); err != nil {
		return err
	}
	sent, got := make([]byte, size), make([]byte, size)
	_, _ = m.random.Read(sent) // it never fails
	_, err := m.conn.Write(sent)
	if err == nil {
		_, err = io.ReadFull(m.conn, got)
	}
	if err == nil && !bytes.Equal(sent, got) {
		err = errors.New("what came back is not what was sent")
	}
	if err != nil {
		m.fail(err)
	}
	return err
}

func (m *member) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken == nil {
		m.broken = err
	}
}

func (m *member) lost() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken
}

// Answer has every session send and get back one block more, all at once, and
// returns what is wrong with each that has not by the end of ctx or had broken
// before. Those count as broken from then on.
func (c *Crowd) Answer(ctx context.Context) []error {
	errs := make([]error, len(c.members))
	var all sync.WaitGroup
	for i, m := range c.members {
		all.Go(func() { errs[i] = m.answer(ctx, c.options.Block) })
	}
	all.Wait()
	var lost []error
	for i, err := range errs {
		if err != nil {
			lost = append(lost, fmt.Errorf("session %d: %w", i, err))
		}
	}
	return lost
}

// answer does not wait for a session that never will.
func (m *member) answer(ctx context.Context, size int) error {
	done := make(chan error, 1)
	go func() { done <- m.exchange(size) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	m.fail(fmt.Errorf("no answer: %w", ctx.Err()))
	m.abort() // ends the exchange
	<-done
	return m.lost()
}

// Moved returns how many bytes went there and back so far.
func (c *Crowd) Moved() int64 { return c.moved.Load() }

// Size returns the number of sessions, broken ones included.
func (c *Crowd) Size() int { return len(c.members) }

// Close ends all sessions and returns when nothing of the crowd runs. That some
// had broken is no error here.
func (c *Crowd) Close() error {
	close(c.stop)
	var all sync.WaitGroup
	for _, m := range c.members {
		if m != nil {
			m.abort()
			all.Go(func() {
				m.turn.Lock() // an exchange that was aborted ends before
				defer m.turn.Unlock()
				m.conn.Close()
			})
		}
	}
	all.Wait()
	c.tasks.Wait()
	return nil
}
