package vips

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	four = netip.MustParseAddr("192.0.2.3")
	six  = netip.MustParseAddr("2001:db8::3")
)

// fakeKernel is a machine in memory. It notes the order of what is done.
type fakeKernel struct {
	addrs map[netip.Addr]bool
	ours  []netip.Addr
	done  []string
	fail  string // the call that fails
}

func (f *fakeKernel) note(call string, about any) error {
	if f.fail == call {
		return errors.New("injected")
	}
	f.done = append(f.done, fmt.Sprint(call, " ", about))
	return nil
}

func (f *fakeKernel) held() (map[netip.Addr]bool, error) {
	if f.fail == "held" {
		return nil, errors.New("injected")
	}
	return f.addrs, nil
}

func (f *fakeKernel) routes() ([]netip.Addr, error) {
	if f.fail == "routes" {
		return nil, errors.New("injected")
	}
	return slices.Clone(f.ours), nil
}

func (f *fakeKernel) addRoute(a netip.Addr) error {
	if err := f.note("add", a); err != nil {
		return err
	}
	f.ours = append(f.ours, a)
	return nil
}

func (f *fakeKernel) deleteRoute(a netip.Addr) error {
	if err := f.note("delete", a); err != nil {
		return err
	}
	f.ours = slices.DeleteFunc(f.ours, func(o netip.Addr) bool { return o == a })
	return nil
}

func (f *fakeKernel) silence(link string) error { return f.note("silence", link) }

// owners are the owner words that this node wrote.
type owners map[netip.Addr]bool

// electing is owners of which an election has some.
type electing struct {
	owners
	told [][]netip.Addr
}

func (e *electing) SetElected(vips []netip.Addr) error { e.told = append(e.told, vips); return nil }

func (o owners) SetOwner(vip netip.Addr, open bool) error { o[vip] = open; return nil }

func (o owners) SetElected(vips []netip.Addr) error { return nil }

func newFake(addrs ...netip.Addr) (*Keeper, *fakeKernel, owners) {
	f := &fakeKernel{addrs: map[netip.Addr]bool{}}
	for _, a := range addrs {
		f.addrs[a] = true
	}
	o := owners{}
	k := New(o, nil)
	k.kernel = f
	return k, f, o
}

// TestKeeper: who has a VIP and what ends here, by what the settings say and the
// interfaces have.
func TestKeeper(t *testing.T) {
	for _, tt := range []struct {
		name   string
		held   []netip.Addr
		vips   []VIP
		owners owners
		done   []string
	}{
		{"nothing", nil, nil, owners{}, nil},
		{"without nodes it is had whatever the interfaces say", nil, []VIP{{Addr: four}}, owners{four: true}, nil},
		{"had", []netip.Addr{four}, []VIP{{Addr: four, Spread: true, Ends: true}}, owners{four: true}, []string{"silence ext0", "silence int0", "add 192.0.2.3"}},
		{"another has it", nil, []VIP{{Addr: four, Spread: true, Ends: true}}, owners{four: false}, []string{"silence ext0", "silence int0", "add 192.0.2.3"}},
		{"had, and all ends elsewhere", []netip.Addr{four}, []VIP{{Addr: four, Spread: true, Ends: false}}, owners{four: true}, nil},
		{"IPv6 answers for no address it has not", nil, []VIP{{Addr: six, Spread: true, Ends: true}}, owners{six: false}, []string{"add 2001:db8::3"}},
		{"both", []netip.Addr{six}, []VIP{{Addr: six, Spread: true, Ends: true}, {Addr: four, Spread: true, Ends: true}}, owners{six: true, four: false},
			[]string{"add 2001:db8::3", "silence ext0", "silence int0", "add 192.0.2.3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, f, o := newFake(tt.held...)
			apply := func() {
				if err := k.Prepare(tt.vips, []string{"ext0", "int0"}); err != nil {
					t.Fatal(err)
				}
				k.Settle(tt.vips)
			}
			apply()
			if !maps.Equal(o, tt.owners) {
				t.Errorf("owner words are %v, want %v", o, tt.owners)
			}
			if !slices.Equal(f.done, tt.done) {
				t.Errorf("done was %v, want %v", f.done, tt.done)
			}
			f.done = nil
			apply()
			if slices.ContainsFunc(f.done, func(s string) bool { return !strings.HasPrefix(s, "silence") }) {
				t.Errorf("the second time %v was done", f.done)
			}
		})
	}
}

// TestKeeperFollows: an address that comes opens the word, one that leaves closes
// it, and the route stays all the time.
func TestKeeperFollows(t *testing.T) {
	k, f, o := newFake()
	list := []VIP{{Addr: four, Spread: true, Ends: true}}
	if err := k.Prepare(list, nil); err != nil {
		t.Fatal(err)
	}
	k.Settle(list)
	for _, has := range []bool{true, false, true} {
		f.addrs[four] = has
		if err := k.refresh(); err != nil {
			t.Fatal(err)
		}
		if o[four] != has || len(f.ours) != 1 {
			t.Errorf("with the address %v: word open %v, routes %v", has, o[four], f.ours)
		}
	}
	// No longer of nodes, or gone: nothing is left behind.
	k.Settle([]VIP{{Addr: four}})
	if !o[four] || len(f.ours) != 0 {
		t.Errorf("without nodes: word open %v, routes %v", o[four], f.ours)
	}
	f.ours = []netip.Addr{six} // of a process before
	k.Settle(nil)
	if len(f.ours) != 0 {
		t.Errorf("routes %v are left", f.ours)
	}
}

// TestKeeperElected: the words of VIPs that an election decides about are left to
// it, from before their services are there until after they are gone.
func TestKeeperElected(t *testing.T) {
	k, f, _ := newFake(four)
	o := &electing{owners: owners{}}
	k.dp = o
	list := []VIP{{Addr: four, Spread: true, Ends: true, Elected: true}, {Addr: six, Elected: true}}
	want := func(what string, elected []netip.Addr, words owners) {
		t.Helper()
		if last := o.told[len(o.told)-1]; !slices.Equal(last, elected) || !maps.Equal(o.owners, words) {
			t.Errorf("%s: elected %v, words %v; want %v, %v", what, last, o.owners, elected, words)
		}
	}
	must(t, k.Prepare(list, nil))
	want("prepared", []netip.Addr{four, six}, owners{})
	k.Settle(list)
	want("settled", []netip.Addr{four, six}, owners{})
	if len(f.ours) != 1 {
		t.Errorf("routes are %v", f.ours)
	}
	must(t, k.Prepare([]VIP{{Addr: six}}, nil))
	want("about to change", []netip.Addr{four, six}, owners{})
	k.Settle([]VIP{{Addr: six}})
	want("changed", nil, owners{six: true})
}

// TestKeeperFails: what the machine refuses is said, before or by the next look.
func TestKeeperFails(t *testing.T) {
	list := []VIP{{Addr: four, Spread: true, Ends: true}}
	for _, call := range []string{"routes", "silence", "add"} {
		k, f, _ := newFake()
		f.fail = call
		if err := k.Prepare(list, []string{"ext0"}); err == nil {
			t.Errorf("%s failed and nobody was told", call)
		}
		if call != "add" && len(f.ours) != 0 {
			t.Errorf("%s failed, and yet there are the routes %v", call, f.ours)
		}
	}
	for _, call := range []string{"held", "routes", "delete"} {
		k, f, _ := newFake()
		f.ours, f.fail = []netip.Addr{six}, call
		k.Settle(list)
		if err := k.refresh(); err == nil {
			t.Errorf("%s failed and nobody was told", call)
		}
		f.fail = ""
		if err := k.refresh(); err != nil || len(f.ours) != 0 {
			t.Errorf("after %s failed: %v, routes %v", call, err, f.ours)
		}
	}
}

// watched tells of each change of an owner word.
type watched chan bool

func (w watched) SetOwner(_ netip.Addr, open bool) error { w <- open; return nil }

func (watched) SetElected([]netip.Addr) error { return nil }

// TestKernel follows a real kernel: a VIP that no interface has ends here and is
// answered for by nobody, and the interfaces' own state counts.
func TestKernel(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces)
	here, there := nettest.ForTest(t), nettest.ForTest(t)
	must(t, nettest.Veth(here, "ext0", there, "far0"))
	must(t, here.AddAddr("ext0", netip.MustParsePrefix("192.0.2.1/24")))
	must(t, there.AddAddr("far0", netip.MustParsePrefix("192.0.2.9/24")))
	must(t, here.Settled(t.Context()))
	list := []VIP{{Addr: four, Spread: true, Ends: true}, {Addr: six, Spread: true, Ends: true}}
	words := make(watched, 64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	defer func() { cancel(); must(t, <-ended) }()
	ready := make(chan error, 1)
	go func() {
		ended <- here.Do(func() error {
			k := New(words, nil)
			err := k.Prepare(list, []string{"ext0"})
			k.Settle(list[:1])
			ready <- err
			return k.Run(ctx)
		})
	}()
	must(t, <-ready)
	until := func(what string, want bool) {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			select {
			case got := <-words:
				if got == want {
					return
				}
			case <-deadline:
				t.Fatalf("%s: the word never became %v", what, want)
			}
		}
	}
	until("no address", false)
	for name, want := range map[string]string{"arp_ignore": "1", "arp_announce": "2"} {
		if got, err := here.Sysctl("net/ipv4/conf/ext0/" + name); err != nil || got != want {
			t.Errorf("%s is %q, want %s: %v", name, got, want, err)
		}
	}
	single := netip.PrefixFrom(four, 32)
	must(t, here.AddAddr("lo", single))
	must(t, here.AddAddr("ext0", single))
	until("on an interface", true)
	must(t, here.DelAddr("ext0", single))
	until("on lo alone", false)
	must(t, here.DelAddr("lo", single))
	must(t, here.AddAddr("ext0", single))
	until("back", true)
	must(t, here.Down("ext0"))
	until("down", false)
	must(t, here.Up("ext0"))
	until("up", true)
	must(t, here.DelAddr("ext0", single))
	until("gone", false)
	local := func() bool {
		routes, err := here.Netlink().RouteGet(four.AsSlice())
		return err == nil && len(routes) == 1 && routes[0].Type == 2 // RTN_LOCAL
	}
	if !local() {
		t.Error("packets for the VIP do not end here")
	}
	must(t, here.Do(Remove))
	if local() {
		t.Error("packets for the VIP still end here")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
