package loader

import (
	"fmt"
	"net/netip"
	"testing"
)

// family is the plan of addresses in one IP version.
type family struct {
	name string
	// vip has services of every kind, twin one that shares its backends, and
	// local one of mode sshd alone.
	vip, twin, local netip.Addr
	home             netip.Addr // of ext0
	pool             []netip.Addr
	router           netip.Addr
	near, far        netip.AddrPort
	client           netip.Addr // the first of many
	stranger         netip.Addr // on the clients' side; nobody knows its MAC
}

var families = []family{
	{
		name: "v4",
		vip:  addr("192.0.2.3"), twin: addr("192.0.2.4"), local: addr("192.0.2.5"), home: addr("192.0.2.1"),
		pool:   []netip.Addr{addr("192.0.2.3"), addr("192.0.2.33"), addr("192.0.2.34")},
		router: addr("192.0.2.254"), stranger: addr("192.0.2.77"),
		near: netip.MustParseAddrPort("10.0.0.11:22"), far: netip.MustParseAddrPort("192.0.2.12:2222"),
		client: addr("198.18.0.1"),
	},
	{
		name: "v6",
		vip:  addr("2001:db8:1::3"), twin: addr("2001:db8:1::4"), local: addr("2001:db8:1::5"), home: addr("2001:db8:1::1"),
		pool:   []netip.Addr{addr("2001:db8:1::3"), addr("2001:db8:1::33"), addr("2001:db8:1::34")},
		router: addr("2001:db8:1::254"), stranger: addr("2001:db8:1::77"),
		near: netip.MustParseAddrPort("[2001:db8:2::11]:22"), far: netip.MustParseAddrPort("[2001:db8:1::12]:2222"),
		client: addr("2001:db8:ffff::1"),
	},
}

// withPort joins an address and a port.
func withPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// kind is one of the services every family has; its value is the port.
type kind uint16

const (
	hide     kind = 22
	keep     kind = 23
	dsr      kind = 24
	local    kind = 25 // mode sshd
	pooled   kind = 26 // hide behind several addresses
	keepTwin kind = 27 // on the twin VIP, with the backends of keep
	empty    kind = 28 // hide without a backend
	single   kind = 29 // mode sshd, on an address without any other service
	counted  kind = 30 // dsr; the member of a ring entry is its number + 1
	ipip     kind = 31
	gue      kind = 32
	proxied  kind = 33 // hide behind a PROXY header
	nodes    kind = 34 // dsr to nodes, of which this is the first
)

func (k kind) String() string {
	return map[kind]string{
		hide: "hide", keep: "keep", dsr: "dsr", local: "sshd", pooled: "pooled",
		keepTwin: "keep on the twin", empty: "empty", single: "sshd alone", counted: "counted", proxied: "proxied", nodes: "nodes",
		ipip: "ipip", gue: "gue",
	}[k]
}

// natKinds are those whose answers come through us, oneWay those whose do not,
// tunnelKinds those of the latter that put packets into others, withNodes those
// and one of nodes; steering are all that can steer.
var (
	natKinds    = []kind{hide, keep, pooled, proxied}
	oneWay      = []kind{dsr, ipip, gue}
	tunnelKinds = []kind{ipip, gue}
	withNodes   = []kind{dsr, ipip, gue, nodes}
	steering    = []kind{hide, keep, pooled, proxied, dsr, ipip, gue}
)

func (k kind) service(f family) Service {
	at := func(vip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(vip, uint16(k)) }
	switch k {
	case keep:
		return Service{Listen: at(f.vip), Mode: ModeNAT, KeepClient: true}
	case keepTwin:
		return Service{Listen: at(f.twin), Mode: ModeNAT, KeepClient: true}
	case dsr, counted:
		return Service{Listen: at(f.vip), Mode: ModeDSR}
	case nodes:
		return Service{Listen: at(f.vip), Mode: ModeDSR, Nodes: true, Local: membersOf(k.id(f))[0]}
	case ipip:
		return Service{Listen: at(f.vip), Mode: ModeIPIP}
	case gue:
		return Service{Listen: at(f.vip), Mode: ModeGUE}
	case local:
		return Service{Listen: at(f.vip), Mode: ModeSSHD}
	case single:
		return Service{Listen: at(f.local), Mode: ModeSSHD}
	case proxied:
		return Service{Listen: at(f.vip), Mode: ModeNAT, Proxy: true, Pool: []netip.Addr{f.vip}}
	case pooled:
		return Service{Listen: at(f.vip), Mode: ModeNAT, Pool: f.pool}
	default:
		return Service{Listen: at(f.vip), Mode: ModeNAT, Pool: []netip.Addr{f.vip}}
	}
}

// id leaves 0 free: what a program reads from an empty record must not work by
// chance.
func (k kind) id(f family) ServiceID {
	if f.vip.Is4() {
		return ServiceID(k - hide + 1)
	}
	return ServiceID(k - hide + 33)
}

// One above the highest ids in use.
const (
	maxService = 33 + int(nodes-hide) + 1
	maxMember  = 2*maxService + 1
)

// membersOf are those of a service: one on near, one on far.
func membersOf(id ServiceID) [2]MemberID { return [2]MemberID{MemberID(2*id + 1), MemberID(2*id + 2)} }

func (r *rig) putServices(t testing.TB, f family) {
	t.Helper()
	for k := hide; k <= nodes; k++ {
		id := k.id(f)
		r.services[id] = k.service(f)
		mustRig(t, r.d.PutService(id, r.services[id]))
		r.fillRing(t, f, k)
		mustRig(t, r.d.Publish(id))
	}
}

func (r *rig) fillRing(t testing.TB, f family, k kind) {
	t.Helper()
	id := k.id(f)
	ring, err := r.d.Ring(id)
	mustRig(t, err)
	if k == counted {
		for i := range RingEntries {
			ring.Set(i, MemberID(i+1))
		}
		return
	}
	if k == empty || k == local || k == single {
		return
	}
	members := membersOf(id)
	of := [2]Member{{Service: id, Addr: f.near, NextHop: hopNear}, {Service: id, Addr: f.far, NextHop: hopFar}}
	if k.service(f).Mode.Tunnels() {
		of = f.tunnelled(id)
	}
	if k == nodes {
		of[0] = Member{Service: id, Addr: netip.AddrPortFrom(f.home, uint16(k)), Local: true}
	}
	for i, m := range of {
		mustRig(t, r.d.PutMember(members[i], m))
	}
	for i := range RingEntries {
		ring.Set(i, members[i%2])
	}
}

// stand is one service seen through one kind of frame: what a case runs on.
type stand struct {
	*rig
	family
	kind kind
	id   ServiceID
	svc  Service
	tags []uint16
}

// tagsets are the ways a frame can be tagged. The next hops are on the outer VLAN.
var tagsets = map[string][]uint16{"untagged": nil, "VLAN": {100}, "two tags": {100, 7}}

// stands runs a test on every kind, family and tagging.
func (r *rig) stands(t *testing.T, kinds []kind, run func(t *testing.T, s stand)) {
	t.Helper()
	for name, tags := range tagsets {
		for _, f := range families {
			for _, k := range kinds {
				t.Run(fmt.Sprintf("%s %s %s", k, f.name, name), func(t *testing.T) {
					r.setHops(t, outer(tags))
					defer r.setHops(t, 0)
					defer r.clear(t) // or flows of one case would give way to another's
					run(t, stand{rig: r, family: f, kind: k, id: k.id(f), svc: k.service(f), tags: tags})
				})
			}
		}
	}
}

// plain runs a test on every kind and family, untagged.
func (r *rig) plain(t *testing.T, kinds []kind, run func(t *testing.T, s stand)) {
	t.Helper()
	for _, f := range families {
		for _, k := range kinds {
			t.Run(fmt.Sprintf("%s %s", k, f.name), func(t *testing.T) {
				run(t, stand{rig: r, family: f, kind: k, id: k.id(f), svc: k.service(f)})
			})
		}
	}
}

func outer(tags []uint16) uint16 {
	if len(tags) == 0 {
		return 0
	}
	return tags[0]
}

// nextClient is an address and port that no case had before.
func (s stand) nextClient() netip.AddrPort {
	s.clients++
	n := s.clients
	b := s.client.As16()
	b[14], b[15] = byte(n>>8), byte(n)
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), uint16(20000+n%40000))
}
