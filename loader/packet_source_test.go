package loader

import (
	"fmt"
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// testSource: the addresses and ports that nat takes towards backends.
func testSource(t *testing.T, r *rig) {
	r.plain(t, []kind{hide, pooled}, testSourcesLawful)
	r.plain(t, []kind{hide, pooled}, testSourcesDiffer)
	r.plain(t, []kind{hide, pooled}, testExhausted)
	r.plain(t, []kind{hide}, testNoPorts)
	r.plain(t, []kind{hide}, testAbandoned)
	r.plain(t, []kind{keepTwin}, testConflict)
	r.plain(t, []kind{hide}, testServiceOnPort)
	r.plain(t, []kind{hide}, testBackendIsClient)
}

// syn sends a SYN of a new client and returns the source it got, if it got one.
func (s stand) syn(t *testing.T, which int) (c *talk, ok bool) {
	t.Helper()
	c = s.talk(t, which)
	at, f := c.segment(fromClient, frame.SYN, "")
	v, out := s.mustRun(t, at, build(t, f))
	if v != c.forwarded(fromClient) || out[0] != c.hops[c.to.NextHop].Destination[0] {
		return c, false
	}
	sent, err := frame.Decode(out)
	mustRig(t, err)
	if sent.Flags != frame.SYN {
		return c, false // a reset
	}
	c.source = sent.Src
	return c, true
}

// testSourcesLawful spreads many clients over narrow spans whose middle is the
// ports of the services.
func testSourcesLawful(t *testing.T, s stand) {
	s.clear(t)
	defer s.clear(t)
	defer s.ports(t, rigPorts[0], rigPorts[1])
	spans := [2][2]uint16{{uint16(hide), uint16(counted) + 40}, {65500, 65535}}
	s.ports(t, spans[0], spans[1])
	seen := map[netip.Addr]int{}
	low, high := 0, 0
	for range 60 {
		c, ok := s.syn(t, 0)
		if !ok {
			continue
		}
		p := c.source.Port()
		if err := s.lawful(c.source, spans); err != nil {
			t.Errorf("source %s: %v", c.source, err)
		}
		seen[c.source.Addr()]++
		if p < 1000 {
			low++
		} else {
			high++
		}
	}
	if len(seen) != len(s.svc.Pool) || low == 0 || high == 0 {
		t.Errorf("sources by address %v, %d in the lower span and %d in the upper; want all of %v and both spans", seen, low, high, s.svc.Pool)
	}
}

func (s stand) ports(t *testing.T, a, b [2]uint16) {
	t.Helper()
	mustRig(t, s.d.SetPorts(a[0], a[1], b[0], b[1]))
}

// testSourcesDiffer: no two connections share a source towards one backend,
// whether in the handshake or established; towards two backends they may.
func testSourcesDiffer(t *testing.T, s stand) {
	s.clear(t)
	defer s.clear(t)
	defer s.ports(t, rigPorts[0], rigPorts[1])
	s.ports(t, [2]uint16{3000, 3299}, [2]uint16{1, 0})
	taken := map[string]netip.AddrPort{}
	for i := range 240 {
		c, ok := s.syn(t, i%2)
		if !ok {
			continue
		}
		key := fmt.Sprintf("%d from %s", c.member, c.source)
		if other, ok := taken[key]; ok {
			t.Fatalf("clients %s and %s both reach member %s", c.client, other, key)
		}
		taken[key] = c.client
		if i%3 != 0 {
			c.play(t, handshake()[1:])
		}
	}
	if len(taken) < 200 {
		t.Errorf("%d of 240 connections got a source; 300 ports are there for each backend", len(taken))
	}
}

// testExhausted: with every port taken a new connection is refused by name, and
// what ends gives its port back.
func testExhausted(t *testing.T, s stand) {
	s.clear(t)
	defer s.clear(t)
	defer s.ports(t, rigPorts[0], rigPorts[1])
	s.ports(t, [2]uint16{3000, 3003}, [2]uint16{1, 0})
	before := s.tally(t)
	var talks []*talk
	refusals := uint64(0)
	for range 100 {
		if c, ok := s.syn(t, 0); ok {
			talks = append(talks, c)
		} else {
			refusals++
		}
	}
	if want := 4 * len(s.svc.Pool); len(talks) != want {
		t.Errorf("%d connections got a source, want %d", len(talks), want)
	}
	counts := s.tally(t).since(before)
	if got := counts.Drops["ports_exhausted"].Packets; got != refusals || counts.Services[s.id].Refused != refusals {
		t.Errorf("%d refused for ports and %d in all, want %d", got, counts.Services[s.id].Refused, refusals)
	}
	s.talk(t, 0).play(t, []step{{flags: frame.SYN, does: refused, why: "ports_exhausted", service: refusedOnce}})
	if _, ok := s.syn(t, 1); !ok {
		t.Error("a connection to another backend got no source")
	}
}

func testNoPorts(t *testing.T, s stand) {
	defer s.ports(t, rigPorts[0], rigPorts[1])
	s.ports(t, [2]uint16{2, 1}, [2]uint16{0, 0})
	s.talk(t, 0).play(t, []step{{flags: frame.SYN, does: refused, why: "ports_exhausted", service: refusedOnce}})
}

// testAbandoned: the port of a handshake that never finished is free once the
// handshake is too old, and not before.
func testAbandoned(t *testing.T, s stand) {
	s.clear(t)
	defer s.clear(t)
	defer s.ports(t, rigPorts[0], rigPorts[1])
	s.ports(t, [2]uint16{3000, 3000}, [2]uint16{1, 0})
	first, ok := s.syn(t, 0)
	if !ok {
		t.Fatal("no source")
	}
	refusal := step{flags: frame.SYN, does: refused, why: "ports_exhausted", service: refusedOnce}
	s.talk(t, 0).play(t, []step{refusal})
	first.ageEmbryos(t, s.d.lifetimes[FlowYoung])
	s.talk(t, 0).play(t, []step{refusal})
	first.ageEmbryos(t, 1)
	second, ok := s.syn(t, 0)
	if !ok || second.source != first.source {
		t.Fatalf("the second client got source %s, want the first's %s", second.source, first.source)
	}
	second.play(t, handshake()[1:])
	second.play(t, natTalks["data and FIN of the client first"])
	// Closed or not, the port is the entry's for as long as that stands.
	s.talk(t, 0).play(t, []step{refusal})
	second.change(t, func(f *bpfFlow) { f.Seen -= s.d.lifetimes[FlowClosed] + 2 })
	s.expire(t, second, 2)
	if _, ok := s.syn(t, 0); !ok {
		t.Error("the port is not free after the end of its flow")
	}
}

// expire makes the answers' entry as old as the flow and sweeps.
func (s stand) expire(t *testing.T, c *talk, want int) {
	t.Helper()
	c.changeBack(t, func(f *bpfFlow) { f.Seen -= s.d.lifetimes[FlowClosed] + 2 })
	n, err := s.d.Expire(t.Context())
	mustRig(t, err)
	if n != want {
		t.Errorf("the sweep removed %d entries, want %d", n, want)
	}
}

// testConflict: with the client's address kept, one client cannot reach one
// backend through two services from one port: the backend could not tell.
func testConflict(t *testing.T, s stand) {
	other := stand{rig: s.rig, family: s.family, kind: keep, id: keep.id(s.family), svc: keep.service(s.family)}
	var c, twin *talk
	for c == nil || twin.to.Addr != c.to.Addr {
		c = other.talk(t, 0)
		twin = s.talkOf(t, c.client)
	}
	conflict := step{flags: frame.SYN, does: refused, why: "port_conflict", service: refusedOnce}
	c.play(t, handshake()[:1])
	twin.play(t, []step{conflict})
	c.play(t, handshake()[1:])
	twin.play(t, []step{conflict})
	c.play(t, natTalks["data and FIN of the client first"])
	twin.play(t, []step{conflict})
	far := s.talk(t, 1)
	far.play(t, handshake())
}

// testServiceOnPort: a service made later on a port that is in use as source
// takes new connections, and the answers still find their flow.
func testServiceOnPort(t *testing.T, s stand) {
	for _, mode := range []Mode{ModeNAT, ModeDSR, ModeSSHD} {
		t.Run(fmt.Sprintf("mode %d", mode), func(t *testing.T) {
			c := s.established(t, 0)
			const id = ServiceID(60)
			mustRig(t, s.d.PutService(id, Service{Listen: c.source, Mode: mode, Pool: s.svc.Pool}))
			mustRig(t, s.d.Publish(id))
			defer func() { mustRig(t, s.d.DeleteService(id)) }()
			if mode == ModeDSR {
				ring, err := s.d.Ring(id)
				mustRig(t, err)
				for i := range RingEntries {
					ring.Set(i, membersOf(dsr.id(s.family))[0])
				}
			}
			c.play(t, natTalks["data and FIN of the client first"])
		})
	}
}

// testBackendIsClient: a backend may dial the VIP like anybody else, and may be
// given to itself.
func testBackendIsClient(t *testing.T, s stand) {
	for which := range 2 {
		var c *talk
		for c == nil || c.member != membersOf(s.id)[which] {
			c = s.talkOf(t, withPort(s.near.Addr(), s.nextClient().Port()))
		}
		c.via = hopNear
		c.play(t, handshake())
		c.play(t, natTalks["data and FIN of the client first"])
	}
}
