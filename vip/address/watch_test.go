package address

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// watched runs the Watch of a set and gives what it tells, in words.
func watched(t *testing.T, s *kept) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	told, done := make(chan string, 64), make(chan error, 1)
	go func() {
		done <- s.ns.Do(func() error {
			return s.Watch(ctx, func(e Event) { told <- words(s, e) })
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	return told
}

// words is an event in short, macvlans by their number.
func words(s *kept, e Event) string {
	text := e.Kind.String() + " " + e.Interface
	if e.Name != "" {
		name := e.Name
		for i, p := range s.places {
			if p.virtual() && p.name == name {
				name = fmt.Sprintf("m%d", i)
			}
		}
		text += " " + name
	}
	if e.Lying.IsValid() {
		text += " " + e.Lying.String()
	} else if e.Addr.IsValid() {
		text += " " + e.Addr.String()
	}
	if e.Kind == OwnChanged {
		text += fmt.Sprintf(" %v -> %v", noLinkLocal(e.Before), noLinkLocal(e.After))
	}
	return text
}

func noLinkLocal(list []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
}

// hear waits until each of the words was told, in any order, and returns what
// else was.
func hear(t *testing.T, told <-chan string, want ...string) (else_ []string) {
	t.Helper()
	deadline := time.After(patience)
	for len(want) > 0 {
		select {
		case got := <-told:
			at := slices.Index(want, got)
			if at < 0 {
				else_ = append(else_, got)
				continue
			}
			want = slices.Delete(want, at, at+1)
		case <-deadline:
			t.Fatalf("waited in vain for %q; heard %q", want, else_)
		}
	}
	return else_
}

// F5, F18: what happens to a machine is told.
func TestWatch(t *testing.T) {
	const own = "own addresses changed ext0 [192.0.2.1/24 2001:db8::1/64] -> "
	for name, row := range map[string]struct {
		backup bool
		plan   func() Plan
		harm   func(n *nettest.Namespace, s *kept) error
		want   []string
	}{
		"taken down": {false, samplePlan, func(n *nettest.Namespace, _ *kept) error { return n.Down(outside) },
			[]string{"link down ext0", own + "[192.0.2.1/24]"}},
		"renamed": {true, samplePlan, func(n *nettest.Namespace, _ *kept) error {
			l, err := n.Netlink().LinkByName(outside)
			if err != nil {
				return err
			}
			return n.Netlink().LinkSetName(l, "wan0")
		}, []string{"link renamed ext0 wan0"}},
		"deleted": {false, samplePlan, func(n *nettest.Namespace, _ *kept) error {
			l, err := n.Netlink().LinkByName(outside)
			if err != nil {
				return err
			}
			return n.Netlink().LinkDel(l)
		}, []string{"link gone ext0", "VIP gone ext0 m0 192.0.2.3", "VIP gone ext0 m1 2001:db8::3"}},
		"macvlan deleted": {false, samplePlan, func(n *nettest.Namespace, s *kept) error {
			l, err := n.Netlink().LinkByName(s.places[0].name)
			if err != nil {
				return err
			}
			return n.Netlink().LinkDel(l)
		}, []string{"macvlan gone ext0 m0", "VIP gone ext0 m0 192.0.2.3"}},
		"macvlan deleted on a backup": {true, samplePlan, func(n *nettest.Namespace, s *kept) error {
			l, err := n.Netlink().LinkByName(s.places[1].name)
			if err != nil {
				return err
			}
			return n.Netlink().LinkDel(l)
		}, []string{"macvlan gone ext0 m1"}},
		"macvlan down": {false, samplePlan, func(n *nettest.Namespace, s *kept) error { return n.Down(s.places[1].name) },
			[]string{"macvlan gone ext0 m1", "VIP gone ext0 m1 2001:db8::3"}},
		"macvlan up on a backup": {true, samplePlan, func(n *nettest.Namespace, s *kept) error { return n.Up(s.places[0].name) },
			[]string{"macvlan up ext0 m0"}},
		"VIP removed": {false, barePlan, func(n *nettest.Namespace, _ *kept) error { return n.DelAddr(outside, single(vip4.Addr())) },
			[]string{"VIP gone ext0 ext0 192.0.2.3"}},
		"VIP added on a backup": {true, samplePlan, func(n *nettest.Namespace, s *kept) error { return n.AddAddr(s.places[0].name, single(vip4.Addr())) },
			[]string{"VIP found ext0 m0 192.0.2.3"}},
		"VIP added elsewhere on a backup": {true, samplePlan, func(n *nettest.Namespace, _ *kept) error {
			return n.AddAddr(inside, netip.MustParsePrefix("192.0.2.3/24"))
		}, []string{"stray VIP ext0 int0 192.0.2.3/24"}},
		"VIP added to the interface below": {true, samplePlan, func(n *nettest.Namespace, _ *kept) error { return n.AddAddr(outside, vip6) },
			[]string{"stray VIP ext0 ext0 2001:db8::3/64"}},
		"VIP added to the interface below while active": {false, samplePlan, func(n *nettest.Namespace, _ *kept) error { return n.AddAddr(outside, single(vip4.Addr())) },
			[]string{"stray VIP ext0 ext0 192.0.2.3/32"}},
		"VIP added where ours lies on a backup": {true, barePlan, func(n *nettest.Namespace, _ *kept) error {
			return n.AddAddr(outside, single(vip4.Addr()))
		}, []string{"stray VIP ext0 ext0 192.0.2.3/32"}},
		"VIP added beside ours": {false, barePlan, func(n *nettest.Namespace, _ *kept) error { return n.AddAddr(outside, vip4) },
			[]string{"stray VIP ext0 ext0 192.0.2.3/24"}},
		"VIP as we put it, on a backup": {true, barePlan, func(n *nettest.Namespace, s *kept) error {
			index, err := n.Index(outside)
			if err != nil {
				return err
			}
			return n.Do(func() error { return lease(index, vip4.Addr(), forever) })
		}, []string{"VIP found ext0 ext0 192.0.2.3"}},
		"own address removed": {false, samplePlan, func(n *nettest.Namespace, _ *kept) error {
			return n.DelAddr(outside, netip.MustParsePrefix("192.0.2.1/24"))
		},
			[]string{own + "[2001:db8::1/64]"}},
		"own address added": {true, samplePlan, func(n *nettest.Namespace, _ *kept) error {
			return n.AddAddr(outside, netip.MustParsePrefix("198.51.100.1/24"))
		},
			[]string{own + "[192.0.2.1/24 198.51.100.1/24 2001:db8::1/64]"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := gateway(t)
			s := keep(t, n, row.plan())
			s.do(s.Prepare)
			told := begun(t, n, s)
			if !row.backup {
				s.do(s.Take, s.Announce)
			}
			must(t, row.harm(n, s))
			for _, other := range hear(t, told, row.want...) {
				// The kernel says several things one after the other.
				if !strings.HasPrefix(other, "own addresses") && !strings.HasPrefix(other, "macvlan gone") {
					t.Errorf("also heard %q", other)
				}
			}
		})
	}
}

// begun returns when the watch of a set has told a fault that was there at its
// start, and a change, so that all is well again and all was heard.
func begun(t *testing.T, n *nettest.Namespace, s *kept) <-chan string {
	t.Helper()
	must(t, n.AddAddr(inside, netip.MustParsePrefix("192.0.2.3/24")))
	told := watched(t, s)
	hear(t, told, "stray VIP ext0 int0 192.0.2.3/24")
	must(t, n.DelAddr(inside, netip.MustParsePrefix("192.0.2.3/24")))
	hear(t, told, "stray VIP gone ext0 int0 192.0.2.3/24")
	other := netip.MustParsePrefix("203.0.113.9/24")
	must(t, n.AddAddr(outside, other))
	hear(t, told, "own addresses changed ext0 [192.0.2.1/24 2001:db8::1/64] -> [192.0.2.1/24 203.0.113.9/24 2001:db8::1/64]")
	must(t, n.DelAddr(outside, other))
	hear(t, told, "own addresses changed ext0 [192.0.2.1/24 203.0.113.9/24 2001:db8::1/64] -> [192.0.2.1/24 2001:db8::1/64]")
	return told
}

// F5: carrier lost at the other end, and back.
func TestWatchCarrier(t *testing.T) {
	l := newLAN(t)
	s := keep(t, l.gw[0], samplePlan())
	s.do(s.Prepare, s.Take)
	must(t, l.sw.Down("a"))
	told := watched(t, s)
	hear(t, told, "link down ext0")
	must(t, l.sw.Up("a"))
	hear(t, told, "link up ext0")
	for range 2 {
		must(t, l.sw.Down("a"))
		hear(t, told, "link down ext0")
		must(t, l.sw.Up("a"))
		hear(t, told, "link up ext0")
	}
}

// What the set does itself is no event.
func TestWatchIgnoresItself(t *testing.T) {
	n := gateway(t)
	s := keep(t, n, samplePlan())
	s.do(s.Prepare)
	told := begun(t, n, s)
	for range 5 {
		s.do(s.Take, s.Renew2, s.Announce, s.Release)
	}
	must(t, n.AddAddr(outside, netip.MustParsePrefix("198.51.100.1/24")))
	if other := hear(t, told, "own addresses changed ext0 [192.0.2.1/24 2001:db8::1/64] -> [192.0.2.1/24 198.51.100.1/24 2001:db8::1/64]"); len(other) > 0 {
		t.Errorf("also heard %q", other)
	}
}

// After messages were lost everything is looked at again; a failed socket ends
// the watch, an ended context does so without an error.
func TestWatchOverflow(t *testing.T) {
	n := gateway(t)
	s := keep(t, n, samplePlan())
	s.do(s.Prepare, s.Take)
	step := 0
	var heard []string
	receive := func() ([]syscall.NetlinkMessage, *unix.SockaddrNetlink, error) {
		switch step++; step {
		case 1:
			must(t, n.DelAddr(s.places[0].name, single(vip4.Addr())))
			return nil, nil, unix.ENOBUFS
		}
		return nil, nil, unix.EBADF
	}
	err := n.Do(func() error {
		return s.follow(context.Background(), receive, func(e Event) { heard = append(heard, words(s, e)) })
	})
	if err == nil || !slices.Equal(heard, []string{"VIP gone ext0 m0 192.0.2.3"}) {
		t.Errorf("heard %q, %v", heard, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Do(func() error { return s.follow(ctx, receive, func(Event) {}) }); err != nil {
		t.Error(err)
	}
}

// A renewal is not worth a look; whatever else comes is.
func TestContradicts(t *testing.T) {
	a := lying{index: 7, prefix: single(vip4.Addr()), proto: mark}
	sc := &scene{addrs: []lying{a}}
	body := func(a lying) []byte {
		return addrRequest(0, 0, a.index, a.prefix).Serialize()[unix.SizeofNlMsghdr:]
	}
	message := func(kind uint16, body []byte) []syscall.NetlinkMessage {
		return []syscall.NetlinkMessage{{Header: syscall.NlMsghdr{Type: kind}, Data: body}}
	}
	sc.addrs[0].proto = 0 // as the message has none
	other, elsewhere := a, a
	other.prefix, elsewhere.index = single(vip6.Addr()), 8
	for name, row := range map[string]struct {
		messages []syscall.NetlinkMessage
		want     bool
	}{
		"renewed":   {message(unix.RTM_NEWADDR, body(a)), false},
		"nothing":   {nil, false},
		"removed":   {message(unix.RTM_DELADDR, body(a)), true},
		"another":   {message(unix.RTM_NEWADDR, body(other)), true},
		"elsewhere": {message(unix.RTM_NEWADDR, body(elsewhere)), true},
		"link":      {message(unix.RTM_NEWLINK, nil), true},
		"short":     {message(unix.RTM_NEWADDR, body(a)[:5]), true},
	} {
		if got := sc.contradicts(row.messages); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Whatever bytes an address message has, reading them ends well.
func FuzzParseAddr(f *testing.F) {
	f.Add(addrRequest(0, 0, 3, vip4).Serialize()[unix.SizeofNlMsghdr:])
	f.Add(addrRequest(0, 0, 3, vip6).Serialize()[unix.SizeofNlMsghdr:])
	f.Add([]byte{2, 32, 0, 0, 1, 0, 0, 0, 5, 0, 2, 0, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		if a, ok := parseAddr(body); ok && (!a.prefix.IsValid() || !a.prefix.Addr().IsValid()) {
			t.Errorf("%x: %+v", body, a)
		}
	})
}
