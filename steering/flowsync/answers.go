package flowsync

import (
	"fmt"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// listen reads what the peer answers, and returns why it cannot any more.
func (p *peer) listen(conn *seal.Conn) error {
	for {
		if err := conn.SetReadDeadline(time.Now().Add(dead)); err != nil {
			return err
		}
		b, err := conn.ReadRecord()
		if err != nil {
			return err
		}
		_, messages, err := wire.Decode(b)
		if err != nil {
			return err
		}
		for _, m := range messages {
			p.answered(m)
		}
	}
}

func (p *peer) answered(m wire.Message) {
	switch m := m.(type) {
	case wire.Ack:
		p.mu.Lock()
		p.flight.acked(m.Seq)
		if m.Time != 0 {
			p.stats.rtt = max(0, time.Duration(uint64(time.Now().UnixNano())-m.Time))
		}
		paid := p.paid(m.Seq)
		p.mu.Unlock()
		for _, o := range paid {
			p.sync.roles.paid(p.Name, o.Name, o.Term)
		}
		poke(p.room)
	case wire.Want:
		p.mu.Lock()
		defer p.mu.Unlock()
		if o := p.offers[m.Name]; o != nil && o.tell == nil {
			o.refused = 0
			p.need(m.Name, "it asks for one")
		}
	case wire.Refuse:
		p.refused(m)
	}
}

func (p *peer) refused(m wire.Refuse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, o := range p.offers {
		if o.Index != m.Index || o.refused != 0 {
			continue
		}
		o.refused, o.theirs, o.complete = max(m.Reason, 1), m.Term, false
		delete(p.needs, name)
		p.eased()
		defer p.sync.tell(EventRefused, p.Name, name, fmt.Sprintf("our term is %d: %s (term %d)", o.Term, m.Reason, m.Term))
	}
}

// paid are the tells that a peer has all of; mu must be held.
func (p *peer) paid(seq uint64) (list []*offered) {
	for _, o := range p.offers {
		if o.tell != nil && o.refused == 0 && o.ends != 0 && o.ends <= seq {
			list = append(list, o)
		}
	}
	return list
}

// ended notes that what was sent last ends the tells that are complete.
func (p *peer) ended(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.offers {
		if o.tell != nil && o.complete && o.ends == 0 {
			o.ends = seq
		}
	}
}
