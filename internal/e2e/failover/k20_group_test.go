package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// TestK20SeveralClusters: one daemon runs several virtual clusters, each with its
// own port on the heartbeat link; they move apart.
func TestK20SeveralClusters(t *testing.T) {
	const second = `  - name: spare
    vrid: 52
    priority: {gw-a: 150, gw-b: 100}
    heartbeat: {interface: hb0, addr: "${heartbeat_addr}", port: 8031}
    addrs: [{interface: ext0, addr: "${ext_addr}"}]
    vips: [{addr: 192.0.2.4/24, interface: ext0}]
`
	p := share(t, with(plain, login, second+login))
	spare := netip.MustParseAddr("192.0.2.4")
	p.eventually("both clusters are on gw-a", func() error {
		_, err := p.a.try("vip", "swap", "spare")
		if err != nil || !p.a.has(spare) {
			return errors.Join(err, errors.New("192.0.2.4 is not there"))
		}
		return nil
	})
	_, err := p.a.try("vip", "swap", "spare")
	must(t, err)
	p.eventually("the second is on gw-b", func() error {
		if !p.b.has(spare) || p.a.has(spare) {
			return errors.New("192.0.2.4 is not there")
		}
		return p.pinged(p.Client, spare)
	})
	p.want("active", "backup")
	p.serves()
	out := p.run(p.a.Namespace, "ss -Hnlu")
	for _, port := range []string{"169.254.1.1:8021", "169.254.1.1:8031"} {
		if !strings.Contains(out, port) && !strings.Contains(out, strings.Replace(port, ":", "%hb0:", 1)) {
			t.Errorf("nothing listens at %s:\n%s", port, out)
		}
	}
}

// TestK21Group: addresses of both families on several interfaces move as one.
func TestK21Group(t *testing.T) {
	p := share(t, with(plain, "{addr: 10.0.2.3/24, interface: int0}",
		"{addr: 10.0.2.3/24, interface: int0}, {addr: 2001:db8:1::3/64, interface: ext0}, {addr: 2001:db8:2::3/64, interface: int0}"))
	list := []netip.Addr{p.VIP.V4, p.VIP.V6, p.InsideVIP.V4, p.InsideVIP.V6}
	for _, active := range []*gateway{p.a, p.b} {
		if active == p.b {
			must(t, p.a.CableOut(nettest.InsideLink))
			p.want("backup", "active")
		}
		p.eventually("all VIPs answer on "+active.Label, func() error {
			for _, v := range list {
				for _, g := range p.each {
					if g.has(v) != (g == active) {
						return fmt.Errorf("that %s has %s is %v", g.Label, v, g != active)
					}
				}
			}
			return errors.Join(p.pinged(p.Client, p.VIP.V4), p.pinged(p.Client, p.VIP.V6),
				p.pinged(p.Backends[0].Namespace, p.InsideVIP.V4), p.pinged(p.Backends[0].Namespace, p.InsideVIP.V6))
		})
	}
}

// TestK22PerNode: the settings are one, and the priority in them each node's own.
func TestK22PerNode(t *testing.T) {
	p := share(t, plain)
	for _, g := range p.each {
		c, err := g.cluster()
		must(t, err)
		if want := map[string]uint8{"gw-a": 150, "gw-b": 100}[g.Label]; c.Priority.Base != want || c.Priority.Effective != want {
			t.Errorf("%s has priority %+v, want %d", g.Label, c.Priority, want)
		}
	}
}

// TestK23Preemptive: the role goes back to the preferred gateway that was away,
// where that is wanted.
func TestK23Preemptive(t *testing.T) {
	for _, tt := range []struct {
		preempt string
		want    []string
	}{{"false", []string{"backup", "active"}}, {"true", []string{"active", "backup"}}} {
		t.Run(tt.preempt, func(t *testing.T) {
			p := share(t, with(plain, "    vrid: 51\n", "    vrid: 51\n    preempt: "+tt.preempt+"\n"))
			p.a.stop()
			p.want("off", "active")
			p.a.launch()
			p.eventually("gw-a takes part", func() error {
				if c, err := p.a.cluster(); err != nil || c.State == "init" {
					return errors.Join(err, errors.New("it does not yet"))
				}
				return nil
			})
			p.advertises(p.b, 1)
			p.want(tt.want...)
			if tt.preempt == "false" {
				p.advertises(p.b, 20)
				p.want(tt.want...)
			}
			p.serves()
		})
	}
}

// TestK24FreeBind: a proxy listens on the VIP on both gateways all the time, and
// serves on the one that is active.
func TestK24FreeBind(t *testing.T) {
	p := share(t, plain)
	at := netip.AddrPortFrom(p.VIP.V4, 2222)
	for _, g := range p.each {
		nettest.AcceptForTest(t, p.freely(g, at), greet(g.Label))
	}
	for _, active := range []*gateway{p.a, p.b, p.a} {
		if active.is("active") != nil {
			_, err := active.try("vip", "swap", "--all")
			must(t, err)
		}
		p.eventually(active.Label+" serves", func() error {
			got, err := p.says(at)
			if err != nil || got != active.Label {
				return errors.Join(err, fmt.Errorf("%q answers", got))
			}
			return nil
		})
	}
}

// TestK26Administration: what listens on the gateways' own addresses is reached on
// the active one and on the backup.
func TestK26Administration(t *testing.T) {
	p := share(t, plain)
	for _, g := range p.each {
		at := netip.AddrPortFrom(g.Ext.V4, 2223)
		l, err := g.Listen(at)
		must(t, err)
		nettest.AcceptForTest(t, l, greet(g.Label))
	}
	for range 2 {
		for _, g := range p.each {
			if got, err := p.says(netip.AddrPortFrom(g.Ext.V4, 2223)); err != nil || got != g.Label {
				t.Errorf("at the address of %s %q answers: %v", g.Label, got, err)
			}
		}
		_, err := p.a.try("vip", "swap", "--all")
		must(t, err)
		p.oneActive()
	}
}

// greet says a name to who connects.
func greet(name string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, name) // the client says what it got
		c.Close()
	}
}

// says dials from the client and returns all that is said.
func (p *pair) says(at netip.AddrPort) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := p.Client.Dial(ctx, at)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	got, err := io.ReadAll(conn)
	return string(got), err
}

// freely listens at an address that may not be there.
func (p *pair) freely(g *gateway, at netip.AddrPort) net.Listener {
	p.t.Helper()
	var l net.Listener
	must(p.t, g.Do(func() (err error) {
		c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) })
			return errors.Join(err, failed)
		}}
		c.SetMultipathTCP(false)
		l, err = c.Listen(context.Background(), "tcp4", at.String())
		return err
	}))
	return l
}
