package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// history is what changed on a gateway, the oldest first.
func (g *gateway) history() []control.StateChange {
	g.all.t.Helper()
	client := control.NewClient(g.socket())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h, err := client.History(ctx, control.HistoryQuery{Limit: 1000})
	must(g.all.t, err)
	slices.Reverse(h.Changes)
	return h.Changes
}

// changes are those of the test, as "backup>active active_silent".
func (p *pair) changes(g *gateway) []string {
	p.t.Helper()
	var list []string
	for _, c := range g.history()[p.mark[slices.Index(p.each, g)]:] {
		list = append(list, fmt.Sprintf("%s>%s %s", c.StateWas, c.State, c.Cause))
	}
	return list
}

// wantChanges compares what the test did to a gateway. Of a cause with "|" either
// will do: who was busy while it claimed the role finds it free.
func (p *pair) wantChanges(g *gateway, want ...string) {
	p.t.Helper()
	same := func(got, want string) bool {
		change, causes, _ := strings.Cut(want, " ")
		return slices.ContainsFunc(strings.Split(causes, "|"), func(c string) bool { return got == change+" "+c })
	}
	if got := p.changes(g); !slices.EqualFunc(got, want, same) {
		p.t.Errorf("%s changed %q, want %q", g.Label, got, want)
	}
}

// alarms are the names of those that are up for the first cluster.
func (g *gateway) alarms() []string {
	c, err := g.cluster()
	if err != nil {
		return []string{err.Error()}
	}
	var names []string
	for _, a := range c.Alarms {
		names = append(names, a.Name)
	}
	return names
}

func (all *gateways) wantAlarm(g *gateway, name string) {
	all.t.Helper()
	all.eventually(fmt.Sprintf("%s raises %s", g.Label, name), func() error {
		if names := g.alarms(); !slices.Contains(names, name) {
			return fmt.Errorf("it has %q", names)
		}
		return nil
	})
}

func (all *gateways) wantNoAlarms(list ...*gateway) {
	all.t.Helper()
	for _, g := range list {
		all.eventually("alarms of "+g.Label+" end", func() error {
			if names := g.alarms(); len(names) > 0 {
				return fmt.Errorf("it has %q", names)
			}
			return nil
		})
	}
}

// serves waits until the client has an answer from the VIP itself and from a
// backend behind it.
func (all *gateways) serves() {
	all.t.Helper()
	all.eventually("the VIP answers the client", func() error {
		return errors.Join(all.pinged(all.Client, all.VIP.V4), all.greeted(netip.AddrPortFrom(all.VIP.V4, 22)))
	})
}

// pinged sends one echo request.
func (all *gateways) pinged(from *nettest.Namespace, to netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := from.Command(ctx, "ping", "-n", "-c", "1", "-W", "1", to.String()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ping %s: %v: %s", to, err, out)
	}
	return nil
}

// greeted dials from the client and reads what the backend says.
func (all *gateways) greeted(at netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := all.Client.Dial(ctx, at)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	got := make([]byte, len(banner))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("dial %s: %v", at, err)
	}
	if string(got) != banner {
		return fmt.Errorf("%s says %q", at, got)
	}
	return nil
}

// run runs a program in a namespace that must succeed.
func (all *gateways) run(n *nettest.Namespace, words string) string {
	all.t.Helper()
	list := strings.Fields(words)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := n.Command(ctx, list[0], list[1:]...).CombinedOutput()
	if err != nil {
		all.t.Fatalf("%s: %v: %s", words, err, out)
	}
	return string(out)
}

// segment is a gateway's VRRP on an interface.
func (g *gateway) segment(link string) control.Segment {
	g.all.t.Helper()
	c, err := g.cluster()
	must(g.all.t, err)
	for _, s := range c.Segments {
		if s.Interface == link {
			return s
		}
	}
	g.all.t.Fatalf("%s has no segment on %s", g.Label, link)
	return control.Segment{}
}

// advertises waits until the gateway has sent so many adverts more: time as the
// election counts it.
func (all *gateways) advertises(g *gateway, more uint64) {
	all.t.Helper()
	end := g.segment(nettest.OutsideLink).AdvertsOut + more
	all.eventually(fmt.Sprintf("%s sends %d adverts", g.Label, more), func() error {
		if out := g.segment(nettest.OutsideLink).AdvertsOut; out < end {
			return fmt.Errorf("%d are to come", end-out)
		}
		return nil
	})
}

// gone waits until no VIP lies on the gateway.
func (all *gateways) gone(g *gateway) {
	all.t.Helper()
	all.eventually("no VIP lies on "+g.Label, func() error {
		for _, v := range []netip.Addr{all.VIP.V4, all.InsideVIP.V4} {
			if g.has(v) {
				return fmt.Errorf("%s does", v)
			}
		}
		return nil
	})
}

// is says why a gateway is not in a state.
func (g *gateway) is(state control.VIPState) error {
	c, err := g.cluster()
	if err != nil {
		return err
	}
	if c.State != state {
		return fmt.Errorf("%s is %s", g.Label, c.State)
	}
	return nil
}

func stopProcess(p *os.Process) error     { return p.Signal(syscall.SIGSTOP) }
func continueProcess(p *os.Process) error { return p.Signal(syscall.SIGCONT) }

// healsUnmoved heals gw-a and wants that its fault moved nothing, and left nothing
// behind.
func (p *pair) healsUnmoved() {
	p.t.Helper()
	must(p.t, p.a.Restore())
	p.wantNoAlarms(p.each...)
	p.serves()
	p.wantChanges(p.a)
	p.wantChanges(p.b)
}
