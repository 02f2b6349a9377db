package failover

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sluice/internal/nettest"
)

// TestF18Stray: a VIP that somebody puts on a physical interface is an alarm, on the
// backup and on the active gateway, on an interface with XDP and on one without, for
// as long as it lies there. Nobody takes it away, and no role moves.
func TestF18Stray(t *testing.T) {
	p := share(t, pinged)
	for _, g := range []*gateway{p.b, p.a} {
		for _, link := range []string{nettest.OutsideLink, nettest.HeartbeatLink} {
			where := "192.0.2.3/32 dev " + link
			p.run(g.Namespace, "ip addr add "+where)
			p.eventually("it is an alarm of "+g.Label, func() error { return g.shows("192.0.2.3/32 lies on " + link) })
			if out := p.run(g.Namespace, "ip -o addr show dev "+link); !strings.Contains(out, "192.0.2.3/32") {
				t.Errorf("%s: it was taken away: %s", g.Label, out)
			}
			p.serves()
			p.run(g.Namespace, "ip addr del "+where)
			p.eventually("it is none any more", func() error {
				if err := g.shows("lies on"); err == nil {
					return errors.New("the alarm still stands")
				}
				return nil
			})
		}
	}
	p.want("active", "backup")
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}

// shows says whether `sluice show alarms` has a critical one with a text, and what
// to do about it.
func (g *gateway) shows(text string) error {
	out, err := g.try("show", "alarms")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, text) && strings.Contains(line, "critical") && strings.Contains(line, "virtual cluster edge") && strings.Contains(line, "ip address del") {
			return nil
		}
	}
	return fmt.Errorf("the alarms are %q", out)
}
