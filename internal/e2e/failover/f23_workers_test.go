package failover

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/crypto/ssh"

	"sluice/internal/control"
	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
	"sluice/internal/node"
	"sluice/internal/node/handover"
)

// workers are gateways that terminate the sessions of one VIP together.
type workers struct {
	*gateways
	host, user sshtest.Key
}

// eager is a check that notices soon who serves.
const eager = "{type: tcp, interval: 1s, timeout: 900ms, rise: 1, fall: 3}"

// work has gateways run SSH servers of their own, and one be active.
func work(t *testing.T, via string) *workers {
	t.Helper()
	w := &workers{gateways: newGateways(t, nettest.ClusterOptions{}, preempting()+fmt.Sprintf(
		"  - {name: login, listen: \"192.0.2.3:22\", mode: sshd, nodes: [gw-a, gw-b], node_addr: \"${ext_addr}\", via: %s, health_check: %s}\n", via, eager))}
	var err error
	w.host, err = sshtest.NewKey()
	must(t, err)
	w.user, err = sshtest.NewKey()
	must(t, err)
	w.start()
	for _, g := range w.each {
		w.serve(g)
	}
	w.up()
	return w
}

// serve starts the server of a gateway and hands its socket over.
func (w *workers) serve(g *gateway) {
	w.t.Helper()
	at := netip.MustParseAddrPort("127.0.0.1:2222")
	s, err := sshtest.StartRemoteServer(w.t.Context(), g.Namespace, sshtest.ServerOptions{
		Addrs: []netip.AddrPort{at}, HostKey: w.host, Authorized: []ssh.PublicKey{w.user.Public()},
	})
	must(w.t, err)
	w.t.Cleanup(func() { _ = s.Close() }) // a power failure may have ended it
	f, err := nettest.ListenerOf(s.PID(), at)
	must(w.t, err)
	w.eventually(g.Label+" takes the listener", func() error {
		return handover.Give(w.t.Context(), node.ListenersSocket(g.socket()), "login", f)
	})
	must(w.t, f.Close())
}

// up waits until both know that both serve.
func (w *workers) up() {
	w.t.Helper()
	w.eventually("all nodes are up", func() error {
		for _, g := range w.each {
			client := control.NewClient(g.socket())
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			list, err := client.Backends(ctx)
			cancel()
			client.Close()
			if err != nil {
				return err
			}
			for _, b := range list.Backends {
				if b.State != control.StateUp {
					return fmt.Errorf("%s says that %s is %s: %s", g.Label, b.Name, b.State, b.Reason)
				}
			}
		}
		return nil
	})
}

// everywhere gives an order to both.
func (w *workers) everywhere(words ...string) {
	w.t.Helper()
	for _, g := range w.each {
		_, err := g.try(words...)
		must(w.t, err)
	}
}

// on opens sessions of which all end on one gateway.
func (w *workers) on(g *gateway, sessions int) *sshtest.RemoteCrowd {
	w.t.Helper()
	other := w.each[0]
	if other == g {
		other = w.each[1]
	}
	w.everywhere("drain", other.Label)
	crowd, err := sshtest.StartCrowd(w.t.Context(), w.Client, sshtest.RemoteOptions{
		CrowdOptions: sshtest.CrowdOptions{Sessions: sessions, Moving: sessions / 2},
		Addr:         netip.AddrPortFrom(w.VIP.V4, 22), HostKey: w.host.Public(), UserKey: w.user,
	})
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, crowd.Close()) })
	w.everywhere("enable", other.Label)
	w.up()
	return crowd
}

// living wants all sessions to answer.
func (w *workers) living(when string, crowd *sshtest.RemoteCrowd) {
	w.t.Helper()
	lost, err := crowd.Answer(2 * patience)
	must(w.t, err)
	if len(lost) > 0 {
		w.t.Fatalf("%s: %d sessions are lost: %q", when, len(lost), lost[:min(len(lost), 3)])
	}
}

// TestF23SurvivingWorker: sessions that end on one gateway outlive the power
// failure of the other, which had the VIP and sent them there, and its return.
// Half of them are where the ring does not say.
func TestF23SurvivingWorker(t *testing.T) {
	sessions, ways := 200, []string{"dsr"}
	if full() {
		sessions, ways = 2000, []string{"dsr", "ipip"}
	}
	for _, via := range ways {
		t.Run(via, func(t *testing.T) {
			beside(t)
			w := work(t, via)
			a, b := w.each[0], w.each[1]
			doomed := w.on(a, 10)
			crowd := w.on(b, sessions)
			w.living("before anything happens", crowd)
			w.living("before anything happens, on gw-a", doomed)
			b.synced(sessions)
			a.powerOff()
			w.want("off", "active")
			w.living("gw-a is powered off", crowd)
			a.powerOn()
			w.want("active", "backup")
			w.living("gw-a is back", crowd)
			w.serve(a)
			w.up()
			w.living("gw-a serves again", crowd)
			second := w.on(a, 10)
			b.synced(sessions + 10)
			_, err := a.try("vip", "swap", "--for", "10m", "edge")
			must(t, err)
			w.want("backup", "active")
			w.living("the VIP moved", crowd)
			w.living("the VIP moved, on gw-a", second)
			t.Logf("via %s: %d sessions on the surviving worker, 0 lost", via, sessions)
		})
	}
}
