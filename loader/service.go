package loader

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/cilium/ebpf"
)

// Flags of a service record, enum service_flag.
const (
	serviceKeep    = 1 << 0
	serviceRemoved = 1 << 1
	serviceClient  = 1 << 2
	serviceProxy   = 1 << 3
	serviceChoice  = 1 << 4
	serviceNodes   = 1 << 5
)

// Services returns the services the maps hold, whether published or not.
func (d *Dataplane) Services() (map[ServiceID]Service, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.services), nil
}

// PutService writes the record of a service. Clients reach it only after
// Publish; one that is published changes from one packet to the next. VIP and
// port of an id never change.
func (d *Dataplane) PutService(id ServiceID, s Service) error {
	if id >= MaxServices {
		return fmt.Errorf("put service %d: the maps hold %d", id, MaxServices)
	}
	if len(s.Pool) > MaxPool {
		return fmt.Errorf("put service %d: %d source addresses, at most %d", id, len(s.Pool), MaxPool)
	}
	if s.Local != 0 && !s.Nodes {
		return fmt.Errorf("put service %d (%s): it does not end on nodes, so none of its members is this one", id, s.Listen)
	}
	if s.Nodes && !s.Mode.OneWay() {
		return fmt.Errorf("put service %d (%s): nodes get their packets by a one-way mode", id, s.Listen)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	owner, err := d.owner(s.Listen.Addr(), !s.Nodes)
	if err != nil {
		return err
	}
	record := d.encodeService(s, owner)
	record.Listener = d.listener(id, s.Listen)
	if err := d.objs.Services.Put(uint32(id), &record); err != nil {
		return fmt.Errorf("put service %d (%s): %v", id, s.Listen, err)
	}
	d.services[id], d.listeners[id] = s, record.Listener
	d.changes.Add(1)
	if d.published[id] {
		return d.countVIP(s.Listen.Addr())
	}
	return nil
}

func (d *Dataplane) encodeService(s Service, owner uint32) bpfService {
	r := bpfService{
		Vip:     toAddr(s.Listen.Addr()),
		Port:    swap16(s.Listen.Port()),
		Mode:    uint8(s.Mode),
		Owner:   owner,
		Salt:    d.key.salt(s.Listen),
		PoolLen: uint32(len(s.Pool)),
		Local:   uint32(s.Local),
	}
	if s.KeepClient {
		r.Flags |= serviceKeep
	}
	if s.Removed {
		r.Flags |= serviceRemoved
	}
	if s.ByClient {
		r.Flags |= serviceClient
	}
	if s.Proxy {
		r.Flags |= serviceProxy
	}
	if s.TwoChoices {
		r.Flags |= serviceChoice
	}
	if s.Nodes {
		r.Flags |= serviceNodes
	}
	// The programs pick a place, not an address: every place is filled.
	for i := range r.Pool {
		if len(s.Pool) > 0 {
			r.Pool[i] = toAddr(s.Pool[i%len(s.Pool)])
		}
	}
	return r
}

func decodeService(r bpfService) Service {
	s := Service{
		Listen:     fromAddrPort(r.Vip, r.Port),
		Mode:       Mode(r.Mode),
		KeepClient: r.Flags&serviceKeep != 0,
		Removed:    r.Flags&serviceRemoved != 0,
		ByClient:   r.Flags&serviceClient != 0,
		TwoChoices: r.Flags&serviceChoice != 0,
		Proxy:      r.Flags&serviceProxy != 0,
		Nodes:      r.Flags&serviceNodes != 0,
		Local:      MemberID(r.Local),
	}
	for i := range min(r.PoolLen, MaxPool) {
		s.Pool = append(s.Pool, fromAddr(r.Pool[i]))
	}
	return s
}

func toListen(a netip.AddrPort) bpfListen {
	return bpfListen{Vip: toAddr(a.Addr()), Port: swap16(a.Port())}
}

// Publish lets clients reach the service: VIP and port name its id from one
// packet to the next, whatever id they named before.
func (d *Dataplane) Publish(id ServiceID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.services[id]
	if !ok {
		return fmt.Errorf("publish service %d: it has no record", id)
	}
	key := toListen(s.Listen)
	if err := d.objs.ServiceIds.Put(&key, uint32(id)); err != nil {
		return fmt.Errorf("publish service %s: %v", s.Listen, err)
	}
	if err := d.forgetServices(); err != nil {
		return err
	}
	for other := range d.published {
		if d.services[other].Listen == s.Listen {
			delete(d.published, other)
		}
	}
	d.published[id] = true
	return d.countVIP(s.Listen.Addr())
}

// Withdraw makes VIP and port none of ours. It is not an error if they were
// not, or if another service has them by now.
func (d *Dataplane) Withdraw(id ServiceID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.withdraw(id)
}

func (d *Dataplane) withdraw(id ServiceID) error {
	if !d.published[id] {
		return nil
	}
	s := d.services[id]
	key := toListen(s.Listen)
	if err := d.objs.ServiceIds.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("withdraw service %s: %v", s.Listen, err)
	}
	if err := d.forgetServices(); err != nil {
		return err
	}
	delete(d.published, id)
	return d.countVIP(s.Listen.Addr())
}

// forgetServices has the programs ask anew which service VIP and port name.
func (d *Dataplane) forgetServices() error {
	return d.changeControl(func(c *bpfControl) { c.ServiceEpoch++ })
}

// Published says whether clients reach the service.
func (d *Dataplane) Published(id ServiceID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.published[id]
}

// countVIP keeps the number of services that steer for an address, by which a
// fragment without a port is recognised.
func (d *Dataplane) countVIP(vip netip.Addr) error {
	var n uint32
	for id := range d.published {
		if s := d.services[id]; s.Listen.Addr() == vip && s.Mode != ModeSSHD {
			n++
		}
	}
	key := toAddr(vip)
	if n > 0 {
		if err := d.objs.Vips.Put(&key, &bpfVip{Services: n, Owner: d.owners[vip]}); err != nil {
			return fmt.Errorf("put VIP %s: %v", vip, err)
		}
		return nil
	}
	if err := d.objs.Vips.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete VIP %s: %v", vip, err)
	}
	return nil
}

// DeleteService removes a service, its ring and its listener. Flows it still
// has end.
func (d *Dataplane) DeleteService(id ServiceID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.withdraw(id); err != nil {
		return err
	}
	if err := d.dropRings(id); err != nil {
		return err
	}
	if err := d.dropListener(id); err != nil {
		return err
	}
	if err := d.objs.Services.Put(uint32(id), &bpfService{}); err != nil {
		return fmt.Errorf("delete service %d: %v", id, err)
	}
	vip := d.services[id].Listen.Addr()
	delete(d.services, id)
	d.changes.Add(1)
	delete(d.listeners, id)
	d.forgetOwner(vip)
	return nil
}
