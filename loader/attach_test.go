package loader_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"sluice/internal/nettest"
	"sluice/loader"
)

// pair is a namespace with links, each a veth to the one other namespace. The
// first link has the address 198.51.100.1, its far end 198.51.100.2.
func pair(t *testing.T, links ...string) (n, peer *nettest.Namespace) {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	n, peer = nettest.ForTest(t), nettest.ForTest(t)
	for i, link := range links {
		far := fmt.Sprintf("far%d", i)
		must(t, nettest.Veth(n, link, peer, far))
		if i == 0 {
			must(t, n.AddAddr(link, netip.MustParsePrefix("198.51.100.1/24")))
			must(t, peer.AddAddr(far, netip.MustParsePrefix("198.51.100.2/24")))
		}
	}
	return n, peer
}

// program is the id of the XDP program on an interface, 0 for none.
func program(t *testing.T, n *nettest.Namespace, name string) uint32 {
	t.Helper()
	link, err := n.Netlink().LinkByName(name)
	must(t, err)
	if x := link.Attrs().Xdp; x != nil && x.Attached {
		return x.ProgId
	}
	return 0
}

// foreign puts a program that is not ours on an interface.
func foreign(t *testing.T, n *nettest.Namespace, name string) {
	t.Helper()
	must(t, n.AttachPass(name))
}

func attached(dp *loader.Dataplane) map[string]loader.XDPMode {
	modes := map[string]loader.XDPMode{}
	for _, a := range dp.Attachments() {
		modes[a.Interface] = a.Mode
	}
	return modes
}

func wantAttached(t *testing.T, dp *loader.Dataplane, want map[string]loader.XDPMode) {
	t.Helper()
	if diff := cmp.Diff(want, attached(dp)); diff != "" {
		t.Errorf("attachments differ (-want +got):\n%s", diff)
	}
}

// Each mode on a link that has native XDP and on one that has not.
func TestAttachModes(t *testing.T) {
	t.Parallel()
	n, peer := pair(t, "veth0", "veth1", "veth2")
	for _, bridge := range []string{"br0", "br1", "br2"} {
		must(t, n.Bridge(bridge))
	}
	must(t, n.SetMTU("veth1", 1400))
	tests := map[string]struct {
		mode         loader.XDPMode
		veth, bridge string
		onBridge     loader.XDPMode
		onVeth       loader.XDPMode
	}{
		"auto":    {loader.XDPAuto, "veth0", "br0", loader.XDPGeneric, loader.XDPNative},
		"generic": {loader.XDPGeneric, "veth1", "br1", loader.XDPGeneric, loader.XDPGeneric},
		"native":  {loader.XDPNative, "veth2", "br2", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.XDP, o.Interfaces = tt.mode, []string{tt.veth, tt.bridge}
			dp, err := tryOpen(t, n, o)
			if tt.onBridge == "" {
				wantError(t, err, "attach native", tt.bridge, "driver bridge", "sluice doctor")
				if p := program(t, n, tt.veth); p != 0 {
					t.Errorf("program %d is left on the interface that has a native mode", p)
				}
				return
			}
			must(t, err)
			wantAttached(t, dp, map[string]loader.XDPMode{tt.veth: tt.onVeth, tt.bridge: tt.onBridge})
		})
	}
	reaches(t, peer, n)
}

func TestAttachmentsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	n, _ := pair(t, "a", "b")
	must(t, n.SetMTU("b", 1400))
	o := testOptions(t)
	o.Interfaces = []string{"b", "a"}
	dp := openIn(t, n, o)
	var want []loader.Attachment
	for _, name := range o.Interfaces {
		index, err := n.Index(name)
		must(t, err)
		mtu := map[string]int{"a": 1500, "b": 1400}[name]
		want = append(want, loader.Attachment{Interface: name, Index: index, Mode: loader.XDPNative, Driver: "veth", MTU: mtu})
	}
	if diff := cmp.Diff(want, dp.Attachments()); diff != "" {
		t.Errorf("attachments differ (-want +got):\n%s", diff)
	}
}

// Which mode runs can be asked for, but not changed under living flows.
func TestAttachKeepsTheMode(t *testing.T) {
	t.Parallel()
	n, _ := pair(t, "a")
	o := testOptions(t)
	o.Interfaces, o.XDP = []string{"a"}, loader.XDPGeneric
	must(t, openIn(t, n, o).Close())
	first := program(t, n, "a")
	o.XDP = loader.XDPNative
	_, err := tryOpen(t, n, o)
	wantError(t, err, `"a"`, "runs in generic mode", "asks for native", "sluice detach")
	if program(t, n, "a") != first {
		t.Error("the refused mode changed the program")
	}
	o.XDP = loader.XDPAuto
	dp := openIn(t, n, o)
	wantAttached(t, dp, map[string]loader.XDPMode{"a": loader.XDPGeneric})
	if program(t, n, "a") == first {
		t.Error("the program was not replaced")
	}
}

// An interface that leaves the settings is free at once, and can come back.
func TestInterfacesLeaveAndReturn(t *testing.T) {
	t.Parallel()
	n, peer := pair(t, "a", "b.100")
	o := testOptions(t)
	both := []string{"a", "b.100"}
	for _, interfaces := range [][]string{both, {"a"}, both, nil} {
		o.Interfaces = interfaces
		dp := openIn(t, n, o)
		want := map[string]loader.XDPMode{}
		for _, name := range interfaces {
			want[name] = loader.XDPNative
		}
		wantAttached(t, dp, want)
		egress := map[uint32]uint32{}
		for _, name := range both {
			_, carries := want[name]
			if p := program(t, n, name); (p != 0) != carries {
				t.Errorf("with %q interface %s carries program %d", interfaces, name, p)
			}
			if index, err := n.Index(name); err != nil {
				t.Error(err)
			} else if carries {
				egress[uint32(index)] = uint32(index)
			}
		}
		if diff := cmp.Diff(egress, dp.Egress()); diff != "" {
			t.Errorf("with %q frames may leave by (-want +got):\n%s", interfaces, diff)
		}
		must(t, dp.Close())
	}
	reaches(t, peer, n)
}

// A pin outlives the interface and the namespace its link was on, and does not
// stand for another of the same name.
func TestStalePins(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.Interfaces = []string{"a"}
	n, peer := pair(t, "a")
	want := map[string]loader.XDPMode{"a": loader.XDPNative}
	try := func(what string, in *nettest.Namespace) {
		t.Helper()
		dp, err := tryOpen(t, in, o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		wantAttached(t, dp, want)
		if program(t, in, "a") == 0 {
			t.Errorf("%s: no program on the interface", what)
		}
		if !dispatches(t, in, dp) {
			t.Errorf("%s: no socket lookup in the namespace", what)
		}
		must(t, dp.Close())
	}
	try("at first", n)

	link, err := n.Netlink().LinkByName("a")
	must(t, err)
	must(t, n.Netlink().LinkDel(link))
	must(t, nettest.Veth(n, "a", peer, "far0"))
	try("made anew", n)

	alike, _ := pair(t, "a")
	theirs, err := alike.Index("a")
	must(t, err)
	recreate(t, n, peer, theirs)
	try("same index again", n)
	try("other namespace, same name and index", alike)
	if p := program(t, n, "a"); p != 0 {
		t.Errorf("program %d stays behind in the namespace that was left", p)
	}

	must(t, alike.Close())
	last, _ := pair(t, "a")
	try("dead namespace", last)
}

// dispatches says whether connections inside a namespace are looked at: one to
// a service without a listener is counted.
func dispatches(t *testing.T, n *nettest.Namespace, dp *loader.Dataplane) bool {
	t.Helper()
	listen := netip.MustParseAddrPort("127.0.0.1:2200")
	must(t, dp.PutService(testService, loader.Service{Listen: listen, Mode: loader.ModeSSHD}))
	must(t, dp.Publish(testService))
	before := drops(t, dp, "no_listener")
	if c, err := n.Dial(t.Context(), listen); err == nil {
		c.Close()
	}
	return drops(t, dp, "no_listener") == before+1
}

// recreate makes a veth end "a" that has a certain index.
func recreate(t *testing.T, n, peer *nettest.Namespace, index int) {
	t.Helper()
	link, err := n.Netlink().LinkByName("a")
	must(t, err)
	must(t, n.Netlink().LinkDel(link))
	must(t, n.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "a", Index: index}, PeerName: "a-far",
		})
	}))
	must(t, n.Up("a"))
	must(t, n.Up("a-far"))
}

// Some other program never gives way to ours, whether it came before us or
// took the place of an interface made anew.
func TestForeignProgramIsNamed(t *testing.T) {
	t.Parallel()
	n, peer := pair(t, "a")
	o := testOptions(t)
	o.Interfaces = []string{"a"}
	must(t, openIn(t, n, o).Close())
	link, err := n.Netlink().LinkByName("a")
	must(t, err)
	must(t, n.Netlink().LinkDel(link))
	must(t, nettest.Veth(n, "a", peer, "far0"))
	foreign(t, n, "a")
	theirs := program(t, n, "a")
	_, err = tryOpen(t, n, o)
	wantError(t, err, "another XDP program", fmt.Sprintf(`"pass" (id %d)`, theirs))
	if program(t, n, "a") != theirs {
		t.Error("their program is gone")
	}
}
