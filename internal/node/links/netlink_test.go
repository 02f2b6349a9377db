package links

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"sluice/internal/config"
	"sluice/internal/nettest"
)

// The same question asked of a real kernel: a gateway between two networks
// with a second way to some backends.
func TestSelectOfTheKernel(t *testing.T) {
	gw, outside, inside := nettest.ForTest(t), nettest.ForTest(t), nettest.ForTest(t)
	steps := []error{
		nettest.Veth(gw, "ext0", outside, "eth0"),
		nettest.Veth(gw, "int0", inside, "eth0"),
		nettest.Veth(gw, "int1", inside, "eth1"),
		gw.AddAddr("ext0", netip.MustParsePrefix("192.0.2.1/24")),
		gw.AddAddr("int0", netip.MustParsePrefix("10.0.0.1/24")),
		gw.AddAddr("int1", netip.MustParsePrefix("10.1.0.1/24")),
		gw.AddAddr("ext0", netip.MustParsePrefix("fd00:e::1/64")),
		gw.AddAddr("lo", netip.MustParsePrefix("198.51.100.7/32")),
		gw.SetDefaultRoute(netip.MustParseAddr("192.0.2.254")),
		gw.SetRoute(netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.0.0.254")),
	}
	for _, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
	}
	addMacvlan(t, gw, "vmac0", "ext0", gw, "192.0.2.3/32")
	addMacvlan(t, outside, "vmac9", "eth0", gw, "192.0.2.9/32")
	addMultipath(t, gw, "10.8.0.0/16", "10.0.0.254", "10.1.0.254")
	for name, c := range map[string]struct {
		services []config.Service
		want     []string
		warnings int
	}{
		"macvlan and connected": {[]config.Service{service("192.0.2.3:22", "10.1.0.11:22")}, []string{"ext0", "int1"}, 0},
		"on lo, and by router":  {[]config.Service{service("198.51.100.7:22", "10.9.3.4:22")}, []string{"ext0", "int0"}, 0},
		"macvlan of abroad":     {[]config.Service{service("192.0.2.9:22", "10.1.0.11:22")}, []string{"int1", "vmac9"}, 0},
		"two ways":              {[]config.Service{service("192.0.2.3:22", "10.8.3.4:22")}, []string{"ext0", "int0", "int1"}, 0},
		"IPv6, no route":        {[]config.Service{service("[fd00:e::1]:22", "[fd00:c::1]:22")}, []string{"ext0"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			err := gw.Do(func() error {
				got, err := Select(Netlink{}, &config.Settings{Services: c.services})
				if err != nil {
					return err
				}
				if diff := cmp.Diff(c.want, got.Names); diff != "" {
					t.Error(diff)
				}
				if len(got.Warnings) != c.warnings {
					t.Errorf("warnings %q", got.Warnings)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// addMacvlan makes one on parent in from and puts it into to.
func addMacvlan(t *testing.T, from *nettest.Namespace, name, parent string, to *nettest.Namespace, addr string) {
	t.Helper()
	index, err := from.Index(parent)
	if err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = name, index
	if from != to {
		var ns netns
		if err := to.Do(ns.open); err != nil {
			t.Fatal(err)
		}
		defer ns.file.Close()
		attrs.Namespace = netlink.NsFd(ns.file.Fd())
	}
	if err := from.Netlink().LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}); err != nil {
		t.Fatal(err)
	}
	if err := to.AddAddr(name, netip.MustParsePrefix(addr)); err != nil {
		t.Fatal(err)
	}
}

// netns is a descriptor of a namespace.
type netns struct{ file *os.File }

func (n *netns) open() (err error) {
	n.file, err = os.Open("/proc/thread-self/ns/net")
	return err
}

func addMultipath(t *testing.T, n *nettest.Namespace, dst string, routers ...string) {
	t.Helper()
	_, network, err := net.ParseCIDR(dst)
	if err != nil {
		t.Fatal(err)
	}
	route := &netlink.Route{Dst: network}
	for _, r := range routers {
		route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{Gw: net.ParseIP(r)})
	}
	if err := n.Netlink().RouteAdd(route); err != nil {
		t.Fatal(err)
	}
}

// Links that this kernel may not have, as netlink tells of them.
func TestDescribe(t *testing.T) {
	attrs := netlink.LinkAttrs{Index: 5, Name: "x", ParentIndex: 3, MasterIndex: 4, NetNsID: -1, EncapType: "ether"}
	abroad, point := attrs, attrs
	abroad.NetNsID, point.EncapType = 0, "none"
	bond := func(mode netlink.BondMode, policy netlink.BondXmitHashPolicy) *netlink.Bond {
		b := netlink.NewLinkBond(attrs)
		b.Mode, b.XmitHashPolicy = mode, policy
		return b
	}
	for name, c := range map[string]struct {
		link netlink.Link
		want Link
	}{
		"vlan":            {&netlink.Vlan{LinkAttrs: attrs, VlanId: 7}, Link{Kind: "vlan", Parent: 3, Master: 4, VLAN: 7}},
		"macvlan, abroad": {&netlink.Macvlan{LinkAttrs: abroad}, Link{Kind: "macvlan", Master: 4}},
		"wireguard":       {&netlink.Wireguard{LinkAttrs: point}, Link{Kind: "wireguard", Parent: 3, Master: 4, NoEthernet: true}},
		"active-backup":   {bond(netlink.BOND_MODE_ACTIVE_BACKUP, -1), Link{Kind: "bond", Parent: 3, Master: 4}},
		"balance-rr":      {bond(netlink.BOND_MODE_BALANCE_RR, -1), Link{Kind: "bond", Parent: 3, Master: 4}},
		"802.3ad":         {bond(netlink.BOND_MODE_802_3AD, netlink.BOND_XMIT_HASH_POLICY_LAYER3_4), Link{Kind: "bond", Parent: 3, Master: 4}},
		"xor by VLAN": {
			bond(netlink.BOND_MODE_BALANCE_XOR, netlink.BOND_XMIT_HASH_POLICY_VLAN_SRCMAC),
			Link{Kind: "bond", Parent: 3, Master: 4, Bond: "in mode balance-xor with xmit_hash_policy vlan+srcmac"},
		},
		"balance-alb": {bond(netlink.BOND_MODE_BALANCE_ALB, -1), Link{Kind: "bond", Parent: 3, Master: 4, Bond: "in mode balance-alb"}},
		"broadcast":   {bond(netlink.BOND_MODE_BROADCAST, -1), Link{Kind: "bond", Parent: 3, Master: 4, Bond: "in mode broadcast"}},
	} {
		c.want.Index, c.want.Name = 5, "x"
		if diff := cmp.Diff(c.want, describe(c.link)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
