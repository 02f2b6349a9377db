package failover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"sluice/internal/nettest"
)

// keepalived is Debian's on a gateway, as the other half of a pair.
type keepalived struct {
	*gateway
	log      *os.File
	priority int
	cmd      *nettest.Cmd
	ended    chan struct{}
}

// newKeepalived stops it with the test.
func newKeepalived(g *gateway, priority int) *keepalived {
	log, err := os.Create(filepath.Join(g.dir, "keepalived.log"))
	must(g.all.t, err)
	k := &keepalived{gateway: g, log: log, priority: priority}
	g.all.t.Cleanup(func() {
		if k.cmd != nil {
			k.stop()
		}
		if g.all.t.Failed() {
			g.all.t.Logf("keepalived in %s said:\n%s", g.Label, k.said())
		}
		log.Close()
	})
	return k
}

// write writes its settings: one instance for each interface, which move together.
func (k *keepalived) write(v variant) {
	k.all.t.Helper()
	var b strings.Builder
	b.WriteString("global_defs {\n router_id other\n}\nvrrp_sync_group edge {\n group { ext0 int0 }\n}\n")
	for _, link := range []string{nettest.OutsideLink, nettest.InsideLink} {
		fmt.Fprintf(&b, "vrrp_instance %s {\n state BACKUP\n interface %s\n virtual_router_id 51\n priority %d\n version %d\n advert_int %s\n",
			link, link, k.priority, v.version, map[int]string{2: "1", 3: "0.1"}[v.version])
		if v.vmac {
			fmt.Fprintf(&b, " use_vmac vrrp.%s\n", link)
		}
		if v.xmitBase {
			b.WriteString(" vmac_xmit_base\n")
		}
		if v.unicast {
			own, peer := k.addr(k.ClusterGateway, link, v), k.addr(k.all.Gateways[0], link, v)
			fmt.Fprintf(&b, " unicast_src_ip %s\n unicast_peer {\n %s\n }\n", own, peer)
		}
		fmt.Fprintf(&b, " virtual_ipaddress {\n  %s\n }\n}\n", strings.Join(v.theirVIPs(k.all, link), "\n  "))
	}
	must(k.all.t, os.WriteFile(filepath.Join(k.dir, "keepalived.conf"), []byte(b.String()), 0o600))
}

// addr is a gateway's own address on an interface.
func (k *keepalived) addr(g *nettest.ClusterGateway, link string, v variant) string {
	p := g.Ext
	if link == nettest.InsideLink {
		p = g.Int
	}
	return v.of(p).String()
}

// start starts it and does not wait.
func (k *keepalived) start(v variant) {
	t := k.all.t
	t.Helper()
	k.write(v)
	path, err := nettest.FindProgram("keepalived")
	must(t, err)
	file := func(name string) string { return filepath.Join(k.dir, name) }
	for _, old := range []string{file("pid"), file("vrrp.pid")} { // killed, it leaves them
		must(t, os.RemoveAll(old))
	}
	cmd := k.Command(context.Background(), path, "--dont-fork", "--log-console", "--log-detail", "--no-syslog", "--vrrp",
		"--use-file", file("keepalived.conf"), "--pid", file("pid"), "--vrrp_pid", file("vrrp.pid"))
	cmd.Stdout, cmd.Stderr = k.log, k.log
	cmd.SysProcAttr.Pdeathsig = 0
	must(t, cmd.Start())
	ended := make(chan struct{})
	k.cmd, k.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in the log
	}()
}

// reload has it read its settings again.
func (k *keepalived) reload(v variant) {
	k.all.t.Helper()
	k.write(v)
	must(k.all.t, k.cmd.Process.Signal(syscall.SIGHUP))
}

// stop ends it in order.
func (k *keepalived) stop() {
	k.all.t.Helper()
	_ = k.cmd.Process.Signal(syscall.SIGTERM) // it may be dead
	<-k.ended
	k.cmd = nil
}

// said is what it logged so far.
func (k *keepalived) said() string {
	text, err := os.ReadFile(k.log.Name())
	must(k.all.t, err)
	return string(text)
}

// count is how often it said these words of its instance outside.
func (k *keepalived) count(words string) int {
	return strings.Count(k.said(), "("+nettest.OutsideLink+") "+words)
}
