package failover

import (
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
	"sluice/vip"
)

// The words are found when there is a dataplane, lost when it is removed, and found
// again in the one that follows, without anybody being told.
func TestOwnersFollowTheDataplane(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	r := newRig(t)
	dir := filepath.Join(nettest.BPFFS(t), "sluice")
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3")}
	open := func() *loader.Dataplane {
		t.Helper()
		var dp *loader.Dataplane
		must(t, r.ns.Do(func() (err error) {
			dp, err = loader.Open(loader.Options{Dir: dir, Interfaces: []string{"ext0"}, MaxFlows: 4096, Key: [16]byte{1}})
			return err
		}))
		must(t, dp.SetElected(vips))
		return dp
	}
	o := &owners{pins: dir}
	defer o.close()
	if err := o.Set(vips, true, 0); !errors.Is(err, loader.ErrDataplaneGone) {
		t.Errorf("without a dataplane: %v", err)
	}
	if _, is, err := o.Open(vips); is || !errors.Is(err, loader.ErrDataplaneGone) {
		t.Errorf("without a dataplane: %t, %v", is, err)
	}
	for round := range 2 {
		dp := open()
		if _, is, err := o.Open(vips); is || err != nil {
			t.Errorf("round %d: words begin open: %v", round, err)
		}
		deadline := vip.Monotonic() + time.Hour
		must(t, o.Set(vips[:1], true, deadline))
		if _, is, err := o.Open(vips); is || err != nil {
			t.Errorf("round %d: one of two is open, and both are said to be: %v", round, err)
		}
		must(t, o.Set(vips[1:], true, 0))
		if until, is, err := o.Open(vips); !is || err != nil || until != deadline {
			t.Errorf("round %d: open %t until %v, %v; want %v", round, is, until, err, deadline)
		}
		must(t, o.Set(vips, true, vip.Monotonic()-1))
		if _, is, err := o.Open(vips); is || err != nil {
			t.Errorf("round %d: a deadline that is over leaves words open: %v", round, err)
		}
		must(t, o.Set(vips, true, 0))
		if until, is, err := o.Open(nil); is || until != 0 || err != nil {
			t.Errorf("round %d: no words are open: %v", round, err)
		}
		if err := o.Set([]netip.Addr{netip.MustParseAddr("192.0.2.99")}, true, 0); !errors.Is(err, vip.ErrNoWord) {
			t.Errorf("round %d: a VIP that is not elected: %v", round, err)
		}
		must(t, dp.Close())
		if _, err := loader.Detach(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Set(vips, false, 0); !errors.Is(err, loader.ErrDataplaneGone) {
		t.Errorf("after the dataplane was removed: %v", err)
	}
}
