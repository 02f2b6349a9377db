package e2e

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// tunnels are the modes that put packets into others, each with an outer header
// of the VIP's family and of the other one.
var tunnels = []shape{{mode: "ipip"}, {mode: "ipip", crossed: true}, {mode: "gue"}, {mode: "gue", crossed: true}}

// decapDaemon is a sluice on a backend that does nothing but take packets out.
type decapDaemon struct {
	*daemon
	world *world
	bpffs string
}

// takeOut runs one.
func (w *world) takeOut(b *nettest.Backend) *decapDaemon {
	w.t.Helper()
	bpffs := nettest.BPFFS(w.t) // before the daemon: what is first made is last removed
	d := &decapDaemon{daemon: newDaemon(w.t, b.Namespace), world: w, bpffs: bpffs}
	d.trust("", "")
	d.start()
	return d
}

// trust writes settings that trust the gateway to send packets for the VIPs in
// use, and more.
func (d *decapDaemon) trust(moreFrom, moreVIPs string) {
	d.t.Helper()
	inside := d.world.InsideAddr
	d.write(d.node(d.bpffs) + fmt.Sprintf("dataplane: {xdp: native, decap: {interfaces: [%s], from: [%s, \"%s\"%s], vips: [%s, \"%s\"%s]}}\n",
		nettest.HostLink, inside.V4, inside.V6, moreFrom, vips["IPv4"].Addr(), vips["IPv6"].Addr(), moreVIPs))
}

func (d *decapDaemon) status() (s control.Status) {
	d.t.Helper()
	d.query(&s, "status")
	return s
}

// TestTunnels logs in by OpenSSH through each combination of families and modes,
// to backends that have no tunnel device. Every backend is told down as soon as
// it no longer takes packets out, and up again.
func TestTunnels(t *testing.T) {
	for _, s := range tunnels {
		t.Run(s.String(), func(t *testing.T) {
			w := running(t, s)
			for family, vip := range vips {
				for range 3 {
					out, err := w.client.Run(t.Context(), vip, "echo $SSH_CONNECTION")
					must(t, err)
					want := fmt.Sprintf("%s %%d %s 22", w.ClientAddr.Like(vip.Addr()), vip.Addr())
					if fields := strings.Fields(out); len(fields) != 4 || fields[0]+" %d "+fields[2]+" "+fields[3] != want {
						t.Errorf("%s: the backend sees %q, want %q", family, out, want)
					}
				}
				bySCP(t, w, vip, t.TempDir())
			}
			w.tookOut(t)
			first := w.decaps[0]
			first.stop()
			for _, family := range []string{"IPv4", "IPv6"} {
				w.is(nameOf(w.Backends[0], family), "down")
			}
			for _, vip := range vips {
				if name, err := w.client.Backend(t.Context(), vip); err != nil || name == "b1" {
					t.Errorf("a login reached %q: %v", name, err)
				}
			}
			first.start()
			w.allUp()
		})
	}
}

// tookOut checks the counters of the backends.
func (w *world) tookOut(t *testing.T) {
	t.Helper()
	for i, d := range w.decaps {
		s := d.status()
		if len(s.Attachments) != 1 || s.Attachments[0].Program != "decap" {
			t.Errorf("b%d: attached as %+v", i+1, s.Attachments)
		}
		for _, v := range s.Decap {
			if (v.Verdict == "done") != (v.Packets > 0) {
				t.Errorf("b%d: %s: %d packets", i+1, v.Verdict, v.Packets)
			}
		}
	}
}

// TestNarrowPath makes the way to the backends narrower than they tell the
// clients, and 10 MB go up: the clients adapt, and all arrives. The answers take
// another way.
func TestNarrowPath(t *testing.T) {
	const narrow = 1400
	for _, s := range append([]shape{{mode: "dsr"}}, tunnels...) {
		t.Run(s.String(), func(t *testing.T) {
			w := running(t, s)
			must(t, w.GW.SetMTU(nettest.InsideLink, narrow))
			for family, vip := range vips {
				dir := t.TempDir()
				data := make([]byte, 10<<20)
				rand.Read(data)
				path, there := filepath.Join(dir, "sent"), filepath.Join(dir, "there")
				must(t, os.WriteFile(path, data, 0o600))
				before := w.dropped("too_big")
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				runCmd(t, w.client.SCP(ctx, vip, path, w.client.Remote(vip, there)))
				same(t, there, sha256.Sum256(data))
				told := w.dropped("too_big") - before
				if told == 0 {
					t.Errorf("%s: nobody was told of the narrow path", family)
				}
				// A window's worth may be on its way before the news arrives, once
				// per path the client has learnt to be narrow.
				if told > 200 {
					t.Errorf("%s: %d packets were too big; the client did not adapt", family, told)
				}
			}
			if n := w.dropped("too_big_untold"); n != 0 {
				t.Errorf("%d senders were not told", n)
			}
		})
	}
}

// outerAddr is the address of a backend that the packets of a family go to.
func (w *world) outerAddr(b *nettest.Backend, family string) netip.Addr {
	if w.shape.crossed {
		family = map[string]string{"IPv4": "IPv6", "IPv6": "IPv4"}[family]
	}
	return b.Addr.Like(vips[family].Addr())
}
