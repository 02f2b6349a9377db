package ping

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func good(name string, hosts ...string) Item {
	i := Item{Name: name, Interface: "ext0", Interval: 100 * time.Millisecond, Timeout: 50 * time.Millisecond, Fall: 3, Rise: 2}
	for _, h := range hosts {
		i.Hosts = append(i.Hosts, netip.MustParseAddr(h))
	}
	return i
}

func TestItemsAreChecked(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		change func(*Item)
		want   string
	}{
		{func(i *Item) { i.Name = "" }, "has no name"},
		{func(i *Item) { i.Interface = "" }, "no interface"},
		{func(i *Item) { i.Hosts = nil }, "no host"},
		{func(i *Item) { i.Interval = 49 * time.Millisecond }, "interval 49ms: want 50ms to 1h"},
		{func(i *Item) { i.Interval = time.Hour + 1 }, "interval 1h"},
		{func(i *Item) { i.Timeout = 101 * time.Millisecond }, "timeout 101ms: want 10ms to its interval, 100ms"},
		{func(i *Item) { i.Timeout = 9 * time.Millisecond }, "timeout 9ms"},
		{func(i *Item) { i.Timeout = -1 }, "timeout -1ns"},
		{func(i *Item) { i.Fall = 0 }, "fall 0: want 1 to 100"},
		{func(i *Item) { i.Fall = 101 }, "fall 101"},
		{func(i *Item) { i.Rise = 0 }, "rise 0"},
		{func(i *Item) { i.Rise = 101 }, "rise 101"},
		{func(i *Item) { i.Hosts[0] = netip.Addr{} }, "not one machine's"},
		{func(i *Item) { i.Hosts[0] = addr("224.0.0.1") }, "224.0.0.1 is not one machine's"},
		{func(i *Item) { i.Hosts[0] = addr("255.255.255.255") }, "not one machine's"},
		{func(i *Item) { i.Hosts[0] = addr("::") }, "not one machine's"},
		{func(i *Item) { i.Hosts[0] = addr("ff02::1") }, "not one machine's"},
		{func(i *Item) { i.Hosts[0] = addr("fe80::1%eth9") }, `"eth9"`},
		{func(i *Item) { i.Hosts = append(i.Hosts, addr("::ffff:192.0.2.1")) }, "there twice"},
	} {
		i := good("outside", "192.0.2.1")
		c.change(&i)
		if _, err := New([]Item{i}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v; want %q", err, c.want)
		}
	}
	if _, err := New([]Item{good("a", "192.0.2.1"), good("a", "192.0.2.2")}, nil); err == nil || !strings.Contains(err.Error(), `"a" is there twice`) {
		t.Errorf("two of one name: %v", err)
	}
	var many []Item
	for i := range MaxHosts + 1 {
		many = append(many, good(fmt.Sprint(i), "192.0.2.1"))
	}
	if _, err := New(many, nil); err == nil || !strings.Contains(err.Error(), "at most 256") {
		t.Errorf("too many hosts: %v", err)
	}
	if _, err := New(many[:MaxHosts], nil); err != nil {
		t.Error(err)
	}
	if _, err := New([]Item{good("b", "192.0.2.1", "fe80::1%ext0", "fd00::1")}, nil); err != nil {
		t.Error(err)
	}
}

func TestAdopt(t *testing.T) {
	fresh := func(hosts ...string) *Monitor {
		m, err := New([]Item{good("outside", hosts...), good("inside", hosts...)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	old := fresh("192.0.2.1", "192.0.2.2")
	now := time.Unix(1000, 0)
	fail := func(h *host) {
		for range 3 {
			h.send(now, newEcho(1))
			if h.miss(now) {
				old.groups[0].judge(now)
			}
		}
	}
	fail(old.groups[0].hosts[0])
	fail(old.groups[0].hosts[1])
	m := fresh("192.0.2.2", "192.0.2.1")
	m.Adopt(old)
	outside, inside := m.Snapshot()[0], m.Snapshot()[1]
	if outside.OK || outside.Hosts[0].Up || outside.Hosts[0].Sent != 3 || outside.Fails != 1 || outside.Since != now {
		t.Errorf("the failed item: %+v", outside)
	}
	if !inside.OK || inside.Known {
		t.Errorf("the other item: %+v", inside)
	}
	// A host that nobody knows anything of counts as up.
	m = fresh("192.0.2.2", "192.0.2.3")
	m.Adopt(old)
	if s := m.Snapshot()[0]; !s.OK || s.Known || s.Hosts[0].Up {
		t.Errorf("with a new host: %+v", s)
	}
}

func FuzzReply(f *testing.F) {
	for _, domain := range []int{2, 10} {
		to := netip.MustParseAddr(map[int]string{2: "192.0.2.1", 10: "fd00::1"}[domain])
		f.Add(request(to, 7, newEcho(9)), domain == 2)
	}
	f.Fuzz(func(t *testing.T, b []byte, v4 bool) {
		domain := 10
		if v4 {
			domain = 2
		}
		e, ok := reply(b, domain, 7)
		if !ok {
			return
		}
		if len(b) != echoLength || b[4] != 0 || b[5] != 7 || e.seq != uint16(b[6])<<8|uint16(b[7]) || string(e.nonce[:]) != string(b[8:]) {
			t.Errorf("taken for an answer: % x", b)
		}
	})
}

func TestReply(t *testing.T) {
	e := newEcho(0x1234)
	for _, c := range []struct {
		domain int
		to     string
		kind   byte
	}{{2, "192.0.2.1", reply4}, {10, "fd00::1", reply6}} {
		answer := func(change func([]byte)) []byte {
			b := request(netip.MustParseAddr(c.to), 77, e)
			b[0] = c.kind
			b[2], b[3] = 0, 0
			s := ^sum(b)
			b[2], b[3] = byte(s>>8), byte(s)
			change(b)
			return b
		}
		if got, ok := reply(answer(func([]byte) {}), c.domain, 77); !ok || got != e {
			t.Errorf("a good answer is read as %v, %v", got, ok)
		}
		bad := [][]byte{
			answer(func(b []byte) { b[0]++ }),
			answer(func(b []byte) { b[1] = 1 }),
			answer(func(b []byte) { b[5]++ }),
			answer(func([]byte) {})[:echoLength-1],
			append(answer(func([]byte) {}), 0),
			nil,
		}
		if c.domain == 2 {
			bad = append(bad, answer(func(b []byte) { b[2] ^= 1 }), answer(func(b []byte) { b[20] ^= 1 }))
		}
		for i, b := range bad {
			if _, ok := reply(b, c.domain, 77); ok {
				t.Errorf("bad answer %d is taken", i)
			}
		}
	}
}
