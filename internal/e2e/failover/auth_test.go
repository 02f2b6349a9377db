package failover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// signed has adverts signed by a key of each gateway's own.
func signedBy(g *gateway, key string) string {
	file := filepath.Join(g.dir, "advert.key")
	must(g.all.t, os.WriteFile(file, []byte(key), 0o600))
	auth := fmt.Sprintf("    auth: {mode: enforce, keys: [{id: 1, file: %s}]}\n", file)
	return strings.Replace(edge, "    vips: [", auth+`    vips: [{addr: "2001:db8:1::3/64", interface: ext0}, `, 1)
}

// launchSigned starts sluice with a key.
func (g *gateway) launchSigned(key string) {
	g.all.t.Helper()
	g.all.settings = signedBy(g, key)
	g.launch()
}

// Signed adverts are believed, those of another key are not; then the heartbeat
// alone keeps a second gateway from serving, and an alarm says what is wrong.
func TestAdvertKeys(t *testing.T) {
	all := newGateways(t, nettest.ClusterOptions{Backends: 2}, "")
	a, b := all.each[0], all.each[1]
	right, wrong := strings.Repeat("right...", 4), strings.Repeat("wrong...", 4)
	a.launchSigned(right)
	all.want("active", "off")
	b.launchSigned(right)
	all.want("active", "backup")
	b.hears("signed adverts", taken, refused)
	a.stop()
	all.want("off", "active")
	a.launchSigned(right)
	all.want("backup", "active")
	a.hears("signed adverts", taken, refused)

	a.stop()
	a.launchSigned(wrong)
	all.want("backup", "active")
	a.hears("adverts of another key", refused, taken)
	all.want("backup", "active")
	b.stop()
	all.want("active", "off")
	b.launchSigned(right)
	all.want("active", "backup")
	b.hears("adverts of another key", refused, taken)
	all.want("active", "backup")
	for g, since := range map[*gateway]control.VIPState{a: control.VIPActive, b: control.VIPBackup} {
		if last := g.lastChange(); last.State != since {
			t.Errorf("%s became %s: %s", g.Label, last.State, last.Reason)
		}
	}
}

func taken(s control.Segment) uint64 { return s.AdvertsIn }

func refused(s control.Segment) uint64 { return s.Refused["bad_mac"] }

// hears waits until on each segment more adverts counted as they should than may be
// missed, and none the other way. A process that begins with its predecessor's keys
// may count some of those first. With refused ones an alarm is up.
func (g *gateway) hears(what string, should, shouldNot func(control.Segment) uint64) {
	g.all.t.Helper()
	var since []control.Segment
	g.all.eventually(g.Label+" has "+what, func() error {
		c, err := g.cluster()
		if err != nil {
			return err
		}
		if len(c.Segments) != 3 {
			return fmt.Errorf("adverts are on %d segments, want two of IPv4 and one of IPv6", len(c.Segments))
		}
		if since == nil {
			since = c.Segments
		}
		for i, s := range c.Segments {
			if shouldNot(s) != shouldNot(since[i]) {
				since = nil
				return fmt.Errorf("on %s adverts go the wrong way: %+v", s.Interface, s)
			}
			if should(s) < should(since[i])+10 {
				return fmt.Errorf("on %s too few: %+v", s.Interface, s)
			}
		}
		if refused(c.Segments[0]) > refused(since[0]) {
			return alarmed(c, "adverts_refused")
		}
		return nil
	})
}

// lastChange is the latest of its history.
func (g *gateway) lastChange() control.StateChange {
	g.all.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h, err := control.NewClient(g.socket()).History(ctx, control.HistoryQuery{Limit: 1})
	must(g.all.t, err)
	if len(h.Changes) == 0 {
		g.all.t.Fatalf("%s has no history", g.Label)
	}
	return h.Changes[0]
}
