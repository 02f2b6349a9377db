package steering

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"sluice/loader"
)

// Ids are handed out from 1: a zeroed record names nobody.
const (
	maxServiceID loader.ServiceID = loader.MaxServices - 1
	maxMemberID  loader.MemberID  = loader.MaxMembers - 1
)

// ledger ties the counters of the dataplane, which belong to ids, to the
// services and backends they are shown for. It is kept in a file.
type ledger struct {
	Version  int                                                     `json:"version"`
	Services book[loader.ServiceID, netip.AddrPort, ServiceCounters] `json:"services"`
	Members  book[loader.MemberID, memberKey, Counters]              `json:"members"`

	// edition tells two ledgers apart without comparing them.
	edition uint64
}

const ledgerVersion = 1

func newLedger() ledger {
	return ledger{
		Version:  ledgerVersion,
		Services: newBook[loader.ServiceID, netip.AddrPort, ServiceCounters](),
		Members:  newBook[loader.MemberID, memberKey, Counters](),
	}
}

// check reports what makes a ledger that was read unusable.
func (l *ledger) check() error {
	if l.Version > ledgerVersion {
		return fmt.Errorf("version %d is from a newer sluice", l.Version)
	}
	if err := l.Services.check(maxServiceID); err != nil {
		return fmt.Errorf("services: %v", err)
	}
	if err := l.Members.check(maxMemberID); err != nil {
		return fmt.Errorf("members: %v", err)
	}
	return nil
}

// edit returns a ledger that can be changed without changing l.
func (l ledger) edit() ledger {
	l.Services, l.Members = l.Services.clone(), l.Members.clone()
	l.edition++
	return l
}

// fold moves what was counted so far from the ids to their owners. What is
// shown stays the same, and survives maps that are made anew.
func (l *ledger) fold(r readings) {
	for id := range l.Services.InUse {
		l.Services.fold(id, r.services[id])
	}
	for id := range l.Members.InUse {
		l.Members.fold(id, r.members[id])
	}
}

// memberKey names a backend within a service for as long as settings do; ids
// come and go.
type memberKey struct {
	Service netip.AddrPort // its listen address
	Backend netip.AddrPort
}

// MarshalText makes the key usable in JSON objects.
func (k memberKey) MarshalText() ([]byte, error) {
	text, err := k.Service.AppendText(nil)
	if err != nil {
		return nil, err
	}
	return k.Backend.AppendText(append(text, ' '))
}

// UnmarshalText reads what MarshalText wrote.
func (k *memberKey) UnmarshalText(text []byte) error {
	service, backend, ok := bytes.Cut(text, []byte(" "))
	if !ok {
		return fmt.Errorf("read member key %q: no space in it", text)
	}
	if err := k.Service.UnmarshalText(service); err != nil {
		return fmt.Errorf("read member key %q: %v", text, err)
	}
	if err := k.Backend.UnmarshalText(backend); err != nil {
		return fmt.Errorf("read member key %q: %v", text, err)
	}
	return nil
}

// tally is a set of counters.
type tally[C any] interface {
	plus(C) C
	minus(C) C
	below(C) bool // in any counter
}

// book is the ledger of one kind of id. What is shown for an owner is what it
// carries, plus what each of its ids counted beyond the base.
type book[ID ~uint32, Key comparable, C tally[C]] struct {
	InUse   map[ID]owner[Key, C] `json:"in_use"`
	Carried map[Key]C            `json:"carried"`
	// Free are ids that had an owner, the longest removed first.
	Free []former[ID, Key] `json:"free"`
	// Last is the highest id that was ever handed out.
	Last ID `json:"last"`
}

type owner[Key comparable, C any] struct {
	Key  Key `json:"key"`
	Base C   `json:"base"`
}

type former[ID ~uint32, Key comparable] struct {
	ID  ID  `json:"id"`
	Key Key `json:"key"`
}

func newBook[ID ~uint32, Key comparable, C tally[C]]() book[ID, Key, C] {
	return book[ID, Key, C]{InUse: map[ID]owner[Key, C]{}, Carried: map[Key]C{}}
}

// check makes sure that every id is one to give and has one place.
func (b *book[ID, Key, C]) check(last ID) error {
	seen := make(map[ID]bool, len(b.InUse)+len(b.Free))
	for id := range b.InUse {
		seen[id] = true
	}
	for _, f := range b.Free {
		if seen[f.ID] {
			return fmt.Errorf("id %d appears twice", f.ID)
		}
		seen[f.ID] = true
	}
	for id := range seen {
		if id == 0 || id > b.Last || b.Last > last {
			return fmt.Errorf("id %d is out of range", id)
		}
	}
	return nil
}

var errNoID = errors.New("the table of the dataplane is full; name fewer, or wait until flows of what was removed have ended")

// take gives key an id: the one it had before, else one that nobody ever had,
// else the longest removed. Ids that are not clean are passed over.
func (b *book[ID, Key, C]) take(key Key, last ID, clean func(ID) bool) (ID, error) {
	at := slices.IndexFunc(b.Free, func(f former[ID, Key]) bool { return f.Key == key && clean(f.ID) })
	if at < 0 {
		if id, ok := b.unused(last, clean); ok {
			b.InUse[id] = owner[Key, C]{Key: key}
			return id, nil
		}
		at = slices.IndexFunc(b.Free, func(f former[ID, Key]) bool { return clean(f.ID) })
	}
	if at < 0 {
		return 0, errNoID
	}
	id := b.Free[at].ID
	b.Free = slices.Delete(b.Free, at, at+1)
	b.InUse[id] = owner[Key, C]{Key: key}
	return id, nil
}

// unused returns the lowest id that nobody ever had.
func (b *book[ID, Key, C]) unused(last ID, clean func(ID) bool) (ID, bool) {
	for ; b.Last < last; b.Free = append(b.Free, former[ID, Key]{ID: b.Last}) {
		b.Last++
		if clean(b.Last) {
			return b.Last, true
		}
	}
	return 0, false
}

// claim notes that id, which the dataplane holds a record of, belongs to key.
// A ledger that never heard of it was lost, or was not written before a crash;
// in the first case all that was counted is the owner's, in the second nothing
// was counted yet, because no ring names an id before the ledger is written.
func (b *book[ID, Key, C]) claim(id ID, key Key, now C) {
	o, known := b.InUse[id]
	if known && o.Key == key {
		return
	}
	b.Free = slices.DeleteFunc(b.Free, func(f former[ID, Key]) bool { return f.ID == id })
	for ; b.Last < id; b.Last++ {
		if b.Last+1 < id {
			b.Free = append(b.Free, former[ID, Key]{ID: b.Last + 1})
		}
	}
	b.InUse[id] = owner[Key, C]{Key: key, Base: now}
}

// open starts counting for id at what its counters hold already.
func (b *book[ID, Key, C]) open(id ID, now C) {
	o := b.InUse[id]
	o.Base = now
	b.InUse[id] = o
}

// fold credits the owner with what id counted up to now.
func (b *book[ID, Key, C]) fold(id ID, now C) {
	o, ok := b.InUse[id]
	if !ok || now.below(o.Base) {
		return
	}
	b.Carried[o.Key] = b.Carried[o.Key].plus(now.minus(o.Base))
	b.open(id, now)
}

// release takes id from its owner, who keeps what was counted.
func (b *book[ID, Key, C]) release(id ID, now C) {
	o, ok := b.InUse[id]
	if !ok {
		return
	}
	b.fold(id, now)
	b.Free = append(b.Free, former[ID, Key]{ID: id, Key: o.Key})
	delete(b.InUse, id)
}

// shown returns the counters of every owner.
func (b *book[ID, Key, C]) shown(now map[ID]C) map[Key]C {
	sums := make(map[Key]C, len(b.Carried)+len(b.InUse))
	maps.Copy(sums, b.Carried)
	for id, o := range b.InUse {
		if c := now[id]; !c.below(o.Base) {
			sums[o.Key] = sums[o.Key].plus(c.minus(o.Base))
		}
	}
	return sums
}

func (b book[ID, Key, C]) clone() book[ID, Key, C] {
	next := newBook[ID, Key, C]()
	maps.Copy(next.InUse, b.InUse)
	maps.Copy(next.Carried, b.Carried)
	next.Free, next.Last = slices.Clone(b.Free), b.Last
	return next
}
