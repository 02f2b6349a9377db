package flowsync

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// notices are what a receiver has to say, until it is written: saying it never
// waits.
type notices struct {
	wake chan struct{}

	mu      sync.Mutex
	seq     uint64
	echo    uint64
	due     bool // an acknowledgement
	wants   []string
	refuses []wire.Refuse
	err     error
}

// ack says that everything up to seq is applied, and echoes a time unless it is
// 0.
func (n *notices) ack(seq, echo uint64) {
	n.mu.Lock()
	n.seq, n.due = seq, true
	if echo != 0 {
		n.echo = echo
	}
	n.mu.Unlock()
	poke(n.wake)
}

// pulse is a sign of life while something lasts.
func (n *notices) pulse() {
	n.mu.Lock()
	n.due = true
	n.mu.Unlock()
	poke(n.wake)
}

func (n *notices) want(cluster string) {
	n.mu.Lock()
	if !slices.Contains(n.wants, cluster) {
		n.wants = append(n.wants, cluster)
	}
	n.mu.Unlock()
	poke(n.wake)
}

// maxRefuses bounds what waits for a peer that does not read.
const maxRefuses = 4 * maxClusters

// refuse replaces what was to be said of the same offer.
func (n *notices) refuse(r wire.Refuse) {
	n.mu.Lock()
	n.refuses = slices.DeleteFunc(n.refuses, func(o wire.Refuse) bool { return o.Index == r.Index })
	if len(n.refuses) >= maxRefuses {
		n.refuses = n.refuses[1:]
	}
	n.refuses = append(n.refuses, r)
	n.mu.Unlock()
	poke(n.wake)
}

// end keeps the first reason for the end of the connection.
func (n *notices) end(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.err = err
	}
}

func (n *notices) reason() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// write writes notices until ctx ends or it fails.
func (n *notices) write(ctx context.Context, conn *seal.Conn) error {
	var rec wire.Record
	for seq := uint64(1); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		}
		messages := n.takeAll()
		for len(messages) > 0 {
			rec.Reset(seq)
			seq++
			for len(messages) > 0 && rec.Add(messages[0]) {
				messages = messages[1:]
			}
			if err := conn.SetWriteDeadline(time.Now().Add(dead)); err != nil {
				return err
			}
			if err := conn.WriteRecord(rec.Bytes()); err != nil {
				return err
			}
		}
	}
}

func (n *notices) takeAll() []wire.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	var messages []wire.Message
	for _, r := range n.refuses {
		messages = append(messages, r)
	}
	for _, name := range n.wants {
		messages = append(messages, wire.Want{Name: name})
	}
	if n.due {
		messages = append(messages, wire.Ack{Seq: n.seq, Time: n.echo})
	}
	n.due, n.refuses, n.wants, n.echo = false, nil, nil, 0
	return messages
}
