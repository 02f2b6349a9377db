package links

import (
	"net/netip"
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
	addMacvlan(t, gw, "vmac0", "ext0", "192.0.2.3/32")
	for name, c := range map[string]struct {
		services []config.Service
		want     []string
		warnings int
	}{
		"macvlan and connected": {[]config.Service{service("192.0.2.3:22", "10.1.0.11:22")}, []string{"ext0", "int1"}, 0},
		"on lo, and by router":  {[]config.Service{service("198.51.100.7:22", "10.9.3.4:22")}, []string{"ext0", "int0"}, 0},
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

func addMacvlan(t *testing.T, n *nettest.Namespace, name, parent, addr string) {
	t.Helper()
	index, err := n.Index(parent)
	if err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = name, index
	if err := n.Netlink().LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}); err != nil {
		t.Fatal(err)
	}
	if err := n.AddAddr(name, netip.MustParsePrefix(addr)); err != nil {
		t.Fatal(err)
	}
}
