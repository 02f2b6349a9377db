package loader

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"sluice/internal/nettest/frame"
)

// guarded makes g the guard until the end of the test.
func (r *rig) guarded(t *testing.T, g Guard) {
	t.Helper()
	r.forgetSources(t)
	mustRig(t, r.d.SetGuard(g))
	t.Cleanup(func() {
		mustRig(t, r.d.SetGuard(Guard{}))
		r.forgetSources(t)
	})
}

// ban lets a ban stand until the end of the test.
func (r *rig) ban(t *testing.T, p netip.Prefix, until time.Duration) {
	t.Helper()
	mustRig(t, r.d.Ban(p, until))
	t.Cleanup(func() { mustRig(t, r.d.Unban(p)) })
}

func (r *rig) forgetSources(t *testing.T) {
	t.Helper()
	var key bpfAddr
	for {
		err := r.d.objs.Sources.NextKey(nil, &key)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return
		}
		mustRig(t, err)
		mustRig(t, r.d.objs.Sources.Delete(&key))
	}
}

// around is the prefix of a client that holds its neighbours, too.
func around(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(a, 16).Masked()
	}
	return netip.PrefixFrom(a, 48).Masked()
}

// everyone is all of a family.
func everyone(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 0).Masked() }

func testGuard(t *testing.T, r *rig) {
	t.Run("port budget", func(t *testing.T) { testPortBudget(t, r) })
	r.plain(t, steering, testDeny)
	r.plain(t, []kind{hide}, testDenyBlocks)
	r.plain(t, []kind{local}, testDenyLocal)
	r.plain(t, steering, testBan)
	r.plain(t, []kind{hide, dsr}, testBanEnds)
	r.plain(t, []kind{hide}, testExempt)
	r.plain(t, []kind{hide}, testFamilies)
	r.plain(t, steering, testRate)
	r.plain(t, steering, testSourceFull)
	r.plain(t, []kind{hide}, testSourceIsNetwork)
	r.plain(t, steering, testSourceForgotten)
	r.plain(t, []kind{hide, dsr}, testChallenge)
	r.plain(t, []kind{hide, dsr}, testPressure)
}

// testDeny: a denied prefix sends nothing to a VIP, but its other packets are
// none of ours.
func testDeny(t *testing.T, s stand) {
	c := s.established(t, 0)
	other := s.established(t, 0)
	s.guarded(t, Guard{Deny: []netip.Prefix{around(c.client.Addr()), everyone(c.client.Addr())}})
	state := FlowEstablished
	if s.svc.Mode.OneWay() {
		state = FlowYoung
	}
	c.play(t, []step{
		{flags: frame.ACK, data: "x", does: silent, why: "denied", state: state},
		{flags: frame.SYN, does: silent, why: "denied", state: state},
	})
	fresh := s.talkOf(t, s.nextClient())
	fresh.play(t, []step{{flags: frame.SYN, does: silent, why: "denied"}})
	rules, err := s.d.Denied()
	mustRig(t, err)
	var packets uint64
	for _, rule := range rules {
		packets += rule.Packets
	}
	if len(rules) != 2 || packets != 3 {
		t.Errorf("rules %v kept %d packets out, want 2 rules and 3 packets", rules, packets)
	}
	at, f := c.segment(fromClient, frame.SYN, "")
	f.Dst = withPort(s.vip, 9)
	s.untouched(t, at, build(t, f))
	mustRig(t, s.d.SetGuard(Guard{}))
	other.play(t, []step{{flags: frame.ACK, data: "x", state: state}})
}

// testDenyBlocks: a prefix of any length is found, and when it is gone it is not
// missed, whatever else is denied in its block or elsewhere.
func testDenyBlocks(t *testing.T, s stand) {
	c := s.established(t, 0)
	client := c.client.Addr()
	elsewhere := netip.MustParsePrefix("203.0.113.0/24")
	if client.Is6() {
		elsewhere = netip.MustParsePrefix("2001:db9::/32")
	}
	for _, bits := range []int{0, 1, 7, 15, 16, 17, 24, 31, 32, 33, 48, 64, 127, 128} {
		if bits > client.BitLen() {
			break
		}
		own := netip.PrefixFrom(client, bits)
		for _, deny := range [][]netip.Prefix{{own, elsewhere}, {own}} {
			mustRig(t, s.d.SetGuard(Guard{Deny: deny}))
			c.play(t, []step{{say: own.String(), flags: frame.ACK, data: "x", does: silent, why: "denied", state: FlowEstablished}})
		}
		mustRig(t, s.d.SetGuard(Guard{Deny: []netip.Prefix{elsewhere}}))
		c.play(t, []step{{say: "no longer " + own.String(), flags: frame.ACK, data: "x", state: FlowEstablished}})
	}
	mustRig(t, s.d.SetGuard(Guard{}))
}

func testDenyLocal(t *testing.T, s stand) {
	c := s.talkOf(t, s.nextClient())
	s.guarded(t, Guard{Deny: []netip.Prefix{around(c.client.Addr())}})
	_, f := c.segment(fromClient, frame.ACK, "x")
	in := build(t, f)
	s.check(t, s.ext, in, expected{verdict: xdpDrop, counts: dropped("denied", in)})
}

// testBan: a ban keeps new connections out and leaves the living alone.
func testBan(t *testing.T, s stand) {
	for name, of := range map[string]func(netip.Addr) netip.Prefix{"one source": SourcePrefix, "a network": around} {
		t.Run(name, func(t *testing.T) {
			lives := s.established(t, 0)
			s.ban(t, of(lives.client.Addr()), 0)
			state := FlowEstablished
			if s.svc.Mode.OneWay() {
				state = FlowYoung
			}
			lives.play(t, []step{{flags: frame.ACK, data: "x", state: state}})
			fresh := s.talkOf(t, netip.AddrPortFrom(lives.client.Addr(), lives.client.Port()+1))
			fresh.play(t, []step{{flags: frame.SYN, does: silent, why: "banned"}})
			bans, err := s.d.Bans()
			mustRig(t, err)
			if len(bans) != 1 || bans[0].Packets != 1 || bans[0].Prefix != of(lives.client.Addr()) {
				t.Errorf("bans are %+v, want one of %s that kept one packet out", bans, of(lives.client.Addr()))
			}
		})
	}
}

// testBanEnds: nobody need sweep a ban for it to end, and a new end keeps what
// was counted.
func testBanEnds(t *testing.T, s stand) {
	c := s.talkOf(t, s.nextClient())
	p := SourcePrefix(c.client.Addr())
	now, err := clock()
	mustRig(t, err)
	s.ban(t, p, now+time.Hour)
	c.play(t, []step{{flags: frame.SYN, does: silent, why: "banned"}})
	s.ban(t, p, now-1)
	bans, err := s.d.Bans()
	mustRig(t, err)
	if len(bans) != 1 || bans[0].Packets != 1 || bans[0].Until != now-1 {
		t.Errorf("bans are %+v, want one that kept one packet out", bans)
	}
	c = s.talkOf(t, c.client)
	c.play(t, []step{{flags: frame.SYN, first: true}})
}

// testExempt: nothing keeps an exempt prefix out.
func testExempt(t *testing.T, s stand) {
	p := around(s.client)
	s.guarded(t, Guard{
		Deny: []netip.Prefix{p}, Exempt: []netip.Prefix{p},
		SYNInterval: time.Hour, FlowsPerSource: 1, Challenge: true,
	})
	s.ban(t, p, 0)
	s.press(t)
	from := s.nextClient()
	for port := range uint16(3) {
		c := s.talkOf(t, netip.AddrPortFrom(from.Addr(), 1000+port))
		c.play(t, handshake())
		c.play(t, []step{{flags: frame.ACK, data: "x", state: FlowEstablished}})
	}
	for name, want := range map[string]struct {
		read func() ([]Rule, error)
		kept uint64
	}{"denied": {s.d.Denied, 0}, "exempt": {s.d.Exempt, 9}} {
		rules, err := want.read()
		mustRig(t, err)
		if len(rules) != 1 || rules[0].Prefix != p || rules[0].Packets != want.kept {
			t.Errorf("%s: %+v, want one rule for %s that met %d packets", name, rules, p, want.kept)
		}
	}
}

// testFamilies: a prefix of one family says nothing about the other, although
// IPv4 addresses are kept as IPv6 ones.
func testFamilies(t *testing.T, s stand) {
	other := netip.MustParsePrefix("0.0.0.0/0")
	if s.client.Is4() {
		other = netip.MustParsePrefix("::/0")
	}
	s.guarded(t, Guard{Deny: []netip.Prefix{other}})
	s.ban(t, other, 0)
	s.established(t, 0)
}

// testRate: a source that comes faster than it may is not heard, until it slows
// down. Others are.
func testRate(t *testing.T, s stand) {
	s.guarded(t, Guard{SYNInterval: time.Hour, SYNBurst: time.Hour})
	from := s.nextClient()
	syn := func(port uint16, one step) {
		t.Helper()
		c := s.talkOf(t, netip.AddrPortFrom(from.Addr(), port))
		one.flags = frame.SYN
		c.play(t, []step{one})
	}
	syn(1001, step{first: true})
	syn(1002, step{first: true})
	syn(1003, step{does: silent, why: "syn_rate"})
	key := toAddr(SourcePrefix(from.Addr()).Addr())
	var src bpfSource
	mustRig(t, s.d.objs.Sources.Lookup(&key, &src))
	src.Due -= uint64(time.Hour)
	mustRig(t, s.d.objs.Sources.Put(&key, &src))
	syn(1003, step{first: true})
	syn(1004, step{does: silent, why: "syn_rate"})
}

// testSourceFull: who has as many flows as one may have is told so, until one
// of them ends.
func testSourceFull(t *testing.T, s stand) {
	s.guarded(t, Guard{FlowsPerSource: 2})
	from := s.nextClient()
	flow := func(port uint16) *talk {
		c := s.talkOf(t, netip.AddrPortFrom(from.Addr(), port))
		c.greet(t)
		return c
	}
	first := flow(1001)
	flow(1002)
	c := s.talkOf(t, netip.AddrPortFrom(from.Addr(), 1003))
	c.play(t, []step{{flags: frame.SYN, does: refused, why: "source_full", service: refusedOnce}})
	first.play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}})
	flow(1003)
}

// testSourceIsNetwork: in IPv6 a client is its /64, in IPv4 one address.
func testSourceIsNetwork(t *testing.T, s stand) {
	s.guarded(t, Guard{FlowsPerSource: 1})
	from := s.nextClient()
	s.talkOf(t, from).play(t, handshake())
	beside := from.Addr().As16()
	beside[15] ^= 0x80
	second := step{flags: frame.SYN, does: refused, why: "source_full", service: refusedOnce}
	if from.Addr().Is4() {
		second = step{flags: frame.SYN, first: true}
	}
	s.talkOf(t, netip.AddrPortFrom(netip.AddrFrom16(beside).Unmap(), from.Port())).play(t, []step{second})
	if from.Addr().Is6() {
		beside[7] ^= 0x80
		s.talkOf(t, netip.AddrPortFrom(netip.AddrFrom16(beside), from.Port())).play(t, handshake())
	}
}

// testSourceForgotten: the end of a flow says nothing of a source that is known
// no more.
func testSourceForgotten(t *testing.T, s stand) {
	s.guarded(t, Guard{FlowsPerSource: 2})
	c := s.established(t, 0)
	s.forgetSources(t)
	c.play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}})
	if hasKey[bpfAddr](s.d.objs.Sources) {
		t.Error("the end of a flow made an entry for its source")
	}
}

// press makes the programs feel pressure until the end of the test.
func (r *rig) press(t *testing.T) {
	t.Helper()
	now, err := monotonic()
	mustRig(t, err)
	mustRig(t, r.d.objs.Pressures.Put(uint32(0), now+1000))
	t.Cleanup(func() { mustRig(t, r.d.objs.Pressures.Put(uint32(0), uint32(0))) })
}

// testChallenge: under pressure an unknown source must show that it gets what is
// sent to it; afterwards it is known.
func testChallenge(t *testing.T, s stand) {
	s.guarded(t, Guard{Challenge: true})
	quiet := s.talk(t, 0)
	quiet.play(t, []step{{flags: frame.SYN, first: true}})
	s.forgetSources(t)
	s.press(t)

	c := s.talk(t, 0)
	ack := c.challenged(t)
	for name, seq := range map[string]uint32{"next number": c.up.isn + 1, "guessed": ack + 2, "zero": 0} {
		t.Run("RST with "+name, func(t *testing.T) {
			_, f := c.segment(fromClient, frame.RST, "")
			f.Seq = seq
			in := build(t, f)
			before := s.tally(t)
			v, _ := s.mustRun(t, c.at(c.via), in)
			if d := s.tally(t).since(before); d.Drops["challenge_met"].Packets != 0 {
				t.Errorf("verdict %s: it passes for an answer: %+v", v, d)
			}
		})
	}
	c.challenged(t)
	at, f := c.segment(fromClient, frame.RST, "")
	f.Seq = ack
	in := build(t, f)
	s.check(t, at, in, expected{verdict: xdpDrop, counts: dropped("challenge_met", in)})

	known := s.talkOf(t, c.client)
	known.play(t, []step{{flags: frame.SYN, first: true}})
}

// testPressure: pressure is felt as soon as more handshakes begin than the
// budget of a CPU and a tick allows, and for a while after.
func testPressure(t *testing.T, s stand) {
	s.guarded(t, Guard{Challenge: true})
	const budget = 3
	var before bpfControl
	mustRig(t, s.d.control(func(c *bpfControl) {
		before = *c
		if len(s.svc.Pool) > 0 {
			c.PortBudget = budget
		} else {
			c.EmbryoBudget = budget
		}
	}))
	t.Cleanup(func() {
		mustRig(t, s.d.control(func(c *bpfControl) { c.EmbryoBudget, c.PortBudget = before.EmbryoBudget, before.PortBudget }))
	})
	mustRig(t, s.d.objs.Paces.Put(uint32(0), make([]bpfPace, ebpf.MustPossibleCPU())))
	t.Cleanup(func() { mustRig(t, s.d.objs.Pressures.Put(uint32(0), uint32(0))) })
	begun := 0
	counted := s.tally(t)
	for s.tally(t).since(counted).Drops["challenged"].Packets == 0 {
		c := s.talkOf(t, s.nextClient())
		at, f := c.segment(fromClient, frame.SYN, "")
		c.mustRun(t, at, build(t, f))
		if begun++; begun > 1000 {
			t.Fatalf("%d handshakes began and no pressure was felt at %d a tick", begun, budget)
		}
	}
	if begun <= budget {
		t.Errorf("pressure was felt at the %dth handshake, want more than %d", begun, budget)
	}
	if pressed, err := s.d.Pressed(); err != nil || !pressed {
		t.Errorf("pressed is %v, %v", pressed, err)
	}
	var until uint32
	mustRig(t, s.d.objs.Pressures.Lookup(uint32(0), &until))
	now, err := monotonic()
	mustRig(t, err)
	if left := int32(until - now); left < 5 || left > 10 {
		t.Errorf("pressure is felt for %d ticks more, want 5 to 10", left)
	}
}

// testPortBudget: what begins without a challenge leaves half of the ports of an
// address free, and not much more.
func testPortBudget(t *testing.T, r *rig) {
	var c bpfControl
	mustRig(t, r.d.objs.Controls.Lookup(uint32(0), &c))
	ports := 0
	for _, span := range rigPorts {
		ports += int(span[1]-span[0]) + 1
	}
	per := int(r.d.embryo) * ebpf.MustPossibleCPU()
	if held := int(c.PortBudget) * per; held > ports/2 || held+per <= ports/2 {
		t.Errorf("%d handshakes a CPU and tick hold %d of %d ports, want just below half", c.PortBudget, held, ports)
	}
}

// challenged sends a SYN and expects a SYN-ACK that acknowledges another
// number, which it returns.
func (c *talk) challenged(t *testing.T) uint32 {
	t.Helper()
	at, f := c.segment(fromClient, frame.SYN, "")
	in := build(t, f)
	out := c.check(t, at, in, expected{verdict: xdpTX, counts: dropped("challenged", in)})
	r, err := frame.Decode(out)
	mustRig(t, err)
	if r.Flags != frame.SYN|frame.ACK || r.Src != f.Dst || r.Dst != f.Src || r.SrcMAC.String() != f.DstMAC.String() {
		t.Errorf("answer is\n%s", show(out))
	}
	if r.Ack == f.Seq+1 {
		t.Error("the answer acknowledges the SYN: the client would take it for the backend's")
	}
	if want := build(t, frame.Frame{
		SrcMAC: f.DstMAC, DstMAC: f.SrcMAC, Src: f.Dst, Dst: f.Src, TOS: f.TOS, FlowLabel: f.FlowLabel,
		Flags: frame.SYN | frame.ACK, Ack: r.Ack,
	}); string(want) != string(out) {
		t.Errorf("answer is\n%s\nwant\n%s", show(out), show(want))
	}
	return r.Ack
}
