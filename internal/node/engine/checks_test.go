package engine

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"sluice/internal/config"
	"sluice/steering"
	"sluice/steering/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addrPorts(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range list {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

func service(listen string, mode config.Mode, client config.ClientAddress, backends ...string) config.Service {
	s := config.Service{Listen: netip.MustParseAddrPort(listen), Mode: mode, ClientAddress: client}
	for _, b := range addrPorts(backends...) {
		s.Backends = append(s.Backends, config.Backend{Addr: b})
	}
	return s
}

// spread is a service that ends on nodes, none of which is this one.
func spread(listen string, nodes ...string) config.Service {
	s := service(listen, config.ModeSSHD, "", nodes...)
	s.Via = config.ModeDSR
	for _, n := range nodes {
		s.Nodes = append(s.Nodes, config.ServiceNode{Name: n, Weight: 1})
	}
	return s
}

// settings have one backend address in services of every kind.
func settings() *config.Settings {
	pooled := service("192.0.2.4:22", config.ModeNAT, config.ClientHide, "10.0.0.13:22")
	pooled.SourcePool = []netip.Addr{netip.MustParseAddr("10.0.0.3")}
	return &config.Settings{Services: []config.Service{
		service("192.0.2.3:22", config.ModeNAT, config.ClientKeep, "10.0.0.11:22", "10.0.0.12:22"),
		service("192.0.2.5:22", config.ModeNAT, config.ClientHide, "10.0.0.12:22"),
		pooled,
		service("192.0.2.6:22", config.ModeDSR, "", "10.0.0.11:22"),
		service("192.0.2.6:23", config.ModeDSR, "", "10.0.0.11:22"),
		service("192.0.2.7:22", config.ModeDSR, "", "10.0.0.11:22"),
		spread("192.0.2.8:22", "10.0.0.14:22"),
	}}
}

var comparable = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

func TestTarget(t *testing.T) {
	c := newChecks(nil)
	c.settings = settings()
	c.dial[netip.MustParseAddr("169.254.64.9")] = netip.MustParseAddr("198.19.192.9")
	how := config.HealthCheck{Type: config.HealthCheckTCP, Interval: time.Second, Timeout: time.Millisecond, Rise: 4, Fall: 5}
	run := health.Settings{Type: health.TCP, Interval: time.Second, Timeout: time.Millisecond, Rise: 4, Fall: 5}
	a := addrPorts("10.0.0.11:22", "10.0.0.12:22", "10.0.0.13:22", "192.0.2.6:22", "169.254.64.9:22", "198.19.192.9:22", "10.0.0.14:22", "192.0.2.8:22")
	for name, tc := range map[string]struct {
		check steering.Check
		want  health.Target
	}{
		"keep: no source of ours": {
			steering.Check{CheckID: steering.CheckID{Backend: a[0]}, Dial: a[0], Settings: how},
			health.Target{Name: "10.0.0.11:22", Backend: a[0], Dial: a[0], Settings: run},
		},
		"hide: from the VIP": {
			steering.Check{CheckID: steering.CheckID{Backend: a[1]}, Dial: a[1], Settings: how},
			health.Target{Name: "10.0.0.12:22", Backend: a[1], Dial: a[1], Settings: run, Sources: []netip.Addr{netip.MustParseAddr("192.0.2.5")}},
		},
		"hide: from the pool, known to be up": {
			steering.Check{CheckID: steering.CheckID{Backend: a[2]}, Dial: a[2], Settings: how, Up: true},
			health.Target{Name: "10.0.0.13:22", Backend: a[2], Dial: a[2], Settings: run, Assume: health.Up, Sources: []netip.Addr{netip.MustParseAddr("10.0.0.3")}},
		},
		"dsr: by the link, from none of its VIPs": {
			steering.Check{CheckID: steering.CheckID{Backend: a[0], Service: a[3]}, Dial: a[4], Settings: how},
			health.Target{Name: "10.0.0.11:22 for 192.0.2.6:22", Backend: a[0], Dial: a[5], Settings: run,
				Avoid: []netip.Addr{netip.MustParseAddr("192.0.2.6"), netip.MustParseAddr("192.0.2.7")}},
		},
		"this node: its own listener, which must be here": {
			steering.Check{CheckID: steering.CheckID{Backend: a[0], Service: a[3]}, Dial: a[3], Local: true, Settings: how},
			health.Target{Name: "10.0.0.11:22 for 192.0.2.6:22", Backend: a[3], Dial: a[3], Local: true, Settings: run},
		},
		"a node: as in dsr, from no VIP of nodes": {
			steering.Check{CheckID: steering.CheckID{Backend: a[6], Service: a[7]}, Dial: a[4], Settings: how},
			health.Target{Name: "10.0.0.14:22 for 192.0.2.8:22", Backend: a[6], Dial: a[5], Settings: run,
				Avoid: []netip.Addr{netip.MustParseAddr("192.0.2.8")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, c.target(tc.check), comparable); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The verdicts of real checks come out under the ids of the table, and a check
// that left is not heard of any more.
func TestChecksDeliver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	good := netip.MustParseAddrPort(l.Addr().String())
	bad := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 1)
	c := newChecks(nil)
	undo, err := c.prepare(&config.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	how := config.HealthCheck{Type: config.HealthCheckTCP, Interval: 20 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 1}
	c.SetChecks([]steering.Check{
		{CheckID: steering.CheckID{Backend: good}, Dial: good, Settings: how},
		{CheckID: steering.CheckID{Backend: bad}, Dial: bad, Settings: how},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(ctx)
	}()
	got := map[netip.AddrPort]bool{}
	for range 2 {
		select {
		case r := <-c.Results():
			got[r.Backend] = r.Up
			if !r.Up && r.Reason == "" {
				t.Error("down without a reason")
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("only %v was heard of", got)
		}
	}
	if diff := cmp.Diff(map[netip.AddrPort]bool{good: true, bad: false}, got, comparable); diff != "" {
		t.Error(diff)
	}
	c.SetChecks(nil)
	c.notify(health.Change{Name: good.String(), To: health.Down})
	select {
	case r := <-c.Results():
		t.Errorf("a check that left says %+v", r)
	default:
	}
	cancel()
	<-done
	undo()
	if c.settings != nil {
		t.Error("settings are not as before")
	}
}

// A full queue makes the checker wait, and its end lets it go.
func TestNotifyEndsWithItsContext(t *testing.T) {
	c := newChecks(nil)
	ctx, cancel := context.WithCancel(t.Context())
	c.ctx = ctx
	c.byName["x"] = steering.CheckID{}
	for range resultQueue {
		c.notify(health.Change{Name: "x", To: health.Up})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.notify(health.Change{Name: "x", To: health.Down})
	}()
	cancel()
	<-done
}
