package vips

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/internal/nettest"
)

// TestRenewals: a real kernel's messages. An address that is renewed tells nothing;
// one that is new, gone, or another's does.
func TestRenewals(t *testing.T) {
	n, far := nettest.ForTest(t), nettest.ForTest(t)
	must(t, nettest.Veth(n, "ext0", far, "far0"))
	must(t, n.Settled(t.Context()))
	must(t, n.Do(func() error {
		changed, stop, err := watch()
		if err != nil {
			return err
		}
		defer stop()
		link, err := netlink.LinkByName("ext0")
		if err != nil {
			return err
		}
		lease := func(last string) error {
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(last), Mask: net.CIDRMask(32, 32)}, ValidLft: 60, PreferedLft: 60}
			return netlink.AddrReplace(link, addr)
		}
		told := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			select {
			case <-changed:
			case <-ctx.Done():
				t.Error("a change was not told")
			}
		}
		must(t, lease("192.0.2.3"))
		told()
		for range 3 {
			must(t, lease("192.0.2.3"))
		}
		select {
		case <-changed:
			t.Error("a renewal was told as a change")
		default:
		}
		must(t, lease("192.0.2.4"))
		told()
		must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP("192.0.2.3"), Mask: net.CIDRMask(32, 32)}}))
		told()
		must(t, lease("192.0.2.3"))
		told()
		return nil
	}))
}
