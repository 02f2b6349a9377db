package failover

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// fixed is a TCP connection from a port of our choice to a server that says who
// it is and sends back what it hears.
type fixed struct {
	*net.TCPConn
	backend string
}

// dial opens one through the VIP.
func (all *gateways) dial(port uint16) *fixed {
	all.t.Helper()
	var conn net.Conn
	must(all.t, all.Client.Do(func() (err error) {
		d := net.Dialer{
			Timeout:   patience,
			KeepAlive: -1,
			LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(all.ClientAddr.V4, port)),
			Control: func(_, _ string, c syscall.RawConn) (err error) {
				return c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
			},
		}
		conn, err = d.Dial("tcp", netip.AddrPortFrom(all.VIP.V4, 22).String())
		return err
	}))
	c := &fixed{TCPConn: conn.(*net.TCPConn)}
	all.t.Cleanup(func() { c.Close() })
	name := make([]byte, len("b1"))
	must(all.t, c.SetDeadline(time.Now().Add(patience)))
	_, err := io.ReadFull(c, name)
	must(all.t, err)
	c.backend = string(name)
	return c
}

// reaches is dial where only one backend takes new connections.
func (all *gateways) reaches(port uint16, backend string) *fixed {
	all.t.Helper()
	c := all.dial(port)
	if c.backend != backend {
		all.t.Fatalf("a connection reached %s, not %s", c.backend, backend)
	}
	return c
}

// echoes wants what is sent to come back.
func (all *gateways) echoes(when string, c *fixed) {
	all.t.Helper()
	must(all.t, c.SetDeadline(time.Now().Add(patience)))
	sent := []byte(when)
	_, err := c.Write(sent)
	got := make([]byte, len(sent))
	if err == nil {
		_, err = io.ReadFull(c, got)
	}
	if err != nil || !bytes.Equal(got, sent) {
		all.t.Fatalf("%s: the connection to %s sends back %q: %v", when, c.backend, got, err)
	}
}

// cut ends a connection by a reset, so that its port can be taken again at once.
func (all *gateways) cut(c *fixed) {
	all.t.Helper()
	must(all.t, c.SetLinger(0))
	must(all.t, c.Close())
}

// only lets one backend take new connections of a gateway.
func (g *gateway) only(name string) {
	g.all.t.Helper()
	for _, b := range g.all.Backends {
		if b.Label == name {
			_, err := g.try("enable", b.Label)
			must(g.all.t, err)
		}
	}
	for _, b := range g.all.Backends {
		if b.Label != name {
			_, err := g.try("drain", b.Label)
			must(g.all.t, err)
		}
	}
}

// table is to which backend each flow of a gateway goes that lives, by client's
// port.
func (g *gateway) table() (map[uint16]string, error) {
	client := control.NewClient(g.socket())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	page, err := client.Flows(ctx, control.FlowQuery{Limit: control.MaxFlowLimit})
	if err != nil {
		return nil, err
	}
	flows := map[uint16]string{}
	for _, f := range page.Flows {
		if f.State != control.FlowClosed {
			flows[f.Client.Port()] = f.Backend
		}
	}
	return flows, nil
}

// knows waits until the table is this one.
func (g *gateway) knows(want map[uint16]string) {
	g.all.t.Helper()
	g.all.eventually(fmt.Sprintf("%s has the flows %v", g.Label, want), func() error {
		got, err := g.table()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("it has %v (%v)", got, err)
		}
		return nil
	})
}

// stale is a service whose backends have names, so that they can be drained.
const stale = `  - name: login
    listen: "192.0.2.3:22"
    %s
    backends: [{name: b1, addr: 10.0.2.11}, {name: b2, addr: 10.0.2.12}, {name: b3, addr: 10.0.2.13}]
    health_check: {type: off}
`

// staleModes are two ways of services: one where a flow has a source port, one
// where the ring is asked first.
var staleModes = []string{"mode: nat\n    source_pool: [10.0.2.3]", "mode: dsr"}

// TestF23StaleTable: a gateway comes back with the flows it had when its power
// failed. One has ended meanwhile, another has its ports and another backend.
func TestF23StaleTable(t *testing.T) {
	for _, mode := range staleModes {
		name, _, _ := strings.Cut(strings.TrimPrefix(mode, "mode: "), "\n")
		t.Run(name, func(t *testing.T) {
			beside(t)
			all := newGateways(t, nettest.ClusterOptions{DSR: name == "dsr"}, preempting()+fmt.Sprintf(stale, mode))
			for _, b := range all.Backends {
				nettest.ServeForTest(t, b.Namespace, netip.MustParseAddrPort("0.0.0.0:22"), nettest.ServerOptions{Banner: b.Label, Echo: true})
			}
			all.start()
			a, b := all.each[0], all.each[1]
			const again, ends, stays = 40001, 40002, 40003
			a.only("b3")
			stayed := all.reaches(stays, "b3")
			a.only("b1")
			reused, ended := all.reaches(again, "b1"), all.reaches(ends, "b1")
			b.knows(map[uint16]string{again: "b1", ends: "b1", stays: "b3"})
			a.freeze()
			all.want("off", "active")
			all.echoes("gw-a froze", stayed)
			b.only("b2")
			_, err := b.try("drain", "b1", "--deadline", "1s")
			must(t, err)
			b.knows(map[uint16]string{stays: "b3"})
			all.cut(reused)
			all.cut(ended)
			reused = all.reaches(again, "b2")
			all.echoes("gw-b has the VIP", reused)
			b.knows(map[uint16]string{again: "b2", stays: "b3"})
			a.powerOn()
			all.want("active", "backup")
			a.knows(map[uint16]string{again: "b2", stays: "b3"})
			all.echoes("gw-a is back", reused)
			all.echoes("gw-a is back", stayed)
			b.knows(map[uint16]string{again: "b2", stays: "b3"})
		})
	}
}
