package steering

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"sluice/loader"
	"sluice/steering/disk"
	"sluice/steering/ring"
)

// The files in the data directory.
const (
	stateFile  = "state.json"
	ledgerFile = "ledger.json"
)

// persisted is the state file: what operators ordered.
type persisted struct {
	Version  int                      `json:"version"`
	Backends map[netip.AddrPort]order `json:"backends"`
}

const stateVersion = 1

// adopt makes the first model from the dataplane and the data directory.
// Nothing of it is named until settings are applied.
func (t *Table) adopt() (*model, error) {
	m := newModel()
	if err := t.loadState(m); err != nil {
		return nil, err
	}
	services, err := t.dp.Services()
	if err != nil {
		return nil, err
	}
	members, err := t.dp.Members()
	if err != nil {
		return nil, err
	}
	if err := t.adoptRecords(m, services, members); err != nil {
		return nil, err
	}
	if err := t.adoptLedger(m); err != nil {
		return nil, err
	}
	m.settle(t.opt.now())
	return m, nil
}

func (t *Table) loadState(m *model) error {
	for _, name := range []string{stateFile, ledgerFile} {
		// Left by a crash between writing and renaming.
		stale, _ := filepath.Glob(filepath.Join(t.opt.DataDir, name+".*"))
		for _, path := range stale {
			_ = os.Remove(path)
		}
	}
	var p persisted
	if err := disk.Load(t.opt.DataDir, stateFile, &p); err != nil {
		return fmt.Errorf("read %q: %v; remove it to start without the drained, disabled and re-weighted backends it names",
			filepath.Join(t.opt.DataDir, stateFile), err)
	}
	if p.Version > stateVersion {
		return fmt.Errorf("read %q: version %d is from a newer sluice; run that one, or remove the file to start without the orders it holds",
			filepath.Join(t.opt.DataDir, stateFile), p.Version)
	}
	m.orders = p.Backends
	return nil
}

// adoptRecords adds the records that m does not know, as the remains of
// services and members whose flows live on.
func (t *Table) adoptRecords(m *model, services map[loader.ServiceID]loader.Service, members map[loader.MemberID]loader.Member) error {
	for id, record := range services {
		if _, known := m.services[id]; known {
			continue
		}
		s := service{id: id, record: record, name: record.Listen.String(), phase: phaseRemoved}
		if !t.dp.Published(id) {
			// Another mode took the address, or it never had one.
			s.phase = phaseReplaced
		}
		if s.steers() {
			var err error
			if s.ring, err = t.dp.Ring(id); err != nil {
				return fmt.Errorf("ring of %v: %w", record.Listen, err)
			}
			s.layout = standing(s.ring, members)
		}
		m.services[id] = s
	}
	for id, record := range members {
		if _, known := m.members[id]; known {
			continue
		}
		if _, ok := m.backends[record.Addr]; !ok {
			m.backends[record.Addr] = backend{addr: record.Addr, name: record.Addr.String(), order: m.orders[record.Addr]}
		}
		mem := member{record: record}
		if s := m.services[record.Service]; s.oneWay() && !record.Local {
			mem.check = t.checkAddr(id, s.record.Listen.Addr())
		}
		m.members[id] = mem
	}
	return nil
}

// standing returns who is in a ring; with which weight cannot be told.
func standing(r Ring, members map[loader.MemberID]loader.Member) []ring.Member {
	var list []ring.Member
	seen := map[loader.MemberID]bool{}
	for i := range ring.Entries {
		id := r.Get(i)
		record, ok := members[id]
		if !ok || seen[id] {
			continue
		}
		seen[id] = true
		list = append(list, ring.Member{ID: uint32(id), Addr: record.Addr})
	}
	slices.SortFunc(list, func(a, b ring.Member) int { return a.Addr.Compare(b.Addr) })
	return list
}

// adoptLedger reads the ledger and ties the records to it.
func (t *Table) adoptLedger(m *model) error {
	lost, err := t.loadLedger(m)
	if err != nil {
		return err
	}
	if err := t.claimIDs(m, lost); err != nil {
		return err
	}
	dropAbsent(&m.ledger.Services, m.services)
	dropAbsent(&m.ledger.Members, m.members)
	return nil
}

// claimIDs ties the ids of the records to what was counted for them.
func (t *Table) claimIDs(m *model, lost bool) error {
	now, err := readCounters(t.dp)
	if err != nil {
		return err
	}
	for _, s := range sorted(m.services) {
		if c, ok := now.services[s.id]; ok {
			adoptID(&m.ledger.Services, s.id, s.record.Listen, c, lost)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.members)) {
		mem := m.members[id]
		key := memberKey{Service: m.services[mem.record.Service].record.Listen, Backend: mem.record.Addr}
		if c, ok := now.members[id]; ok {
			adoptID(&m.ledger.Members, id, key, c, lost)
		}
	}
	return nil
}

// loadLedger reads the ledger; lost says that there was none to read. Counters
// are worth less than steering, so one that cannot be read is put aside.
func (t *Table) loadLedger(m *model) (lost bool, err error) {
	path := filepath.Join(t.opt.DataDir, ledgerFile)
	l := newLedger()
	l.Version = 0
	err = disk.Load(t.opt.DataDir, ledgerFile, &l)
	if err == nil {
		err = l.check()
	}
	if err != nil {
		t.alarms.raise("ledger", Alarm{
			Severity: SeverityWarning, Subject: path,
			Text: fmt.Sprintf("counters of earlier runs could not be read: %v", err),
			Hint: "the file is kept as " + path + ".unreadable; counters start anew",
		})
		return true, os.Rename(path, path+".unreadable")
	}
	if l.Version == 0 {
		return true, nil
	}
	m.ledger = l.edit()
	return false, nil
}

// adoptID ties one id to its owner. Counters below their base mean that the
// maps were made anew since the ledger was written.
func adoptID[ID ~uint32, Key comparable, C tally[C]](b *book[ID, Key, C], id ID, key Key, now C, lost bool) {
	var zero C
	if lost {
		b.claim(id, key, zero)
		return
	}
	b.claim(id, key, now)
	if now.below(b.InUse[id].Base) {
		b.open(id, zero)
	}
}

// dropAbsent takes ids without a record from their owners.
func dropAbsent[ID ~uint32, Key comparable, C tally[C], R any](b *book[ID, Key, C], records map[ID]R) {
	for _, id := range slices.Sorted(maps.Keys(b.InUse)) {
		if _, ok := records[id]; !ok {
			b.release(id, b.InUse[id].Base)
		}
	}
}

// ordersOf returns what the state file holds for a model.
func ordersOf(m *model) ([]byte, error) {
	p := persisted{Version: stateVersion, Backends: map[netip.AddrPort]order{}}
	for addr, o := range m.orders {
		if !o.empty() {
			p.Backends[addr] = o
		}
	}
	for addr, b := range m.backends {
		if !b.order.empty() {
			p.Backends[addr] = b.order
		}
	}
	return json.MarshalIndent(p, "", "\t")
}
