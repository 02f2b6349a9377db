package failover

import (
	"net"
	"net/netip"
	"testing"

	"sluice/internal/nettest"
	"sluice/internal/node"
	"sluice/internal/node/handover"
)

// terminated has the gateways end SSH themselves.
const terminated = interfaces + clusterOf + `services:
  - {name: login, listen: "192.0.2.3:22", mode: sshd}
`

// serve listens on the gateway in the place of the SSH server, and hands the
// socket over as that does.
func (g *gateway) serve() (stop func()) {
	t := g.all.t
	t.Helper()
	l, err := g.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	must(t, err)
	nettest.AcceptForTest(t, l, func(c net.Conn) {
		_, _ = c.Write([]byte(banner)) // the client says what it got
		c.Close()
	})
	file, err := l.(*net.TCPListener).File()
	must(t, err)
	defer file.Close()
	must(t, handover.Give(t.Context(), node.ListenersSocket(g.socket()), "login", file))
	return func() { must(t, l.Close()) }
}

// TestF04ServiceDies: a gateway on which nothing listens for the service any more
// gives its VIPs to one where something does.
func TestF04ServiceDies(t *testing.T) {
	all := newGateways(t, nettest.ClusterOptions{Backends: 1}, terminated)
	for _, g := range all.each {
		g.launch()
	}
	all.want("fault", "fault") // nothing listens yet
	watch := observe(t, all)
	t.Cleanup(watch.end)
	a, b := all.each[0], all.each[1]
	first := a.serve()
	all.want("active", "fault")
	b.serve()
	all.want("active", "backup")
	all.serves()

	first()
	all.want("fault", "active")
	all.serves()
	a.serve()
	all.want("backup", "active")
	last := func(g *gateway) string {
		h := g.history()
		return h[len(h)-1].Cause
	}
	if got := last(b); got != "role_free" {
		t.Errorf("gw-b took over because of %s", got)
	}
	if got := last(a); got != "recovered" {
		t.Errorf("gw-a is a backup because of %s", got)
	}
}
