package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
)

// way is how services send connections to backends.
type way struct {
	name string
	// mode are the words of a service.
	mode    string
	options nettest.ClusterOptions
	// proxy has backends read PROXY headers, tunnel has them take packets out.
	proxy, tunnel bool
}

func (w way) String() string { return w.name }

var ways = []way{
	{name: "nat hide", mode: "mode: nat, client_address: hide, source_pool: [10.0.2.3]"},
	{name: "nat proxy_v2", mode: "mode: nat, client_address: proxy_v2, source_pool: [10.0.2.3]", proxy: true},
	{name: "nat keep", mode: "mode: nat, client_address: keep"},
	{name: "dsr", mode: "mode: dsr", options: nettest.ClusterOptions{DSR: true}},
	{name: "ipip", mode: "mode: ipip", options: nettest.ClusterOptions{DSR: true}, tunnel: true},
}

// Ports of the two services: one with servers and clients of x/crypto, of which
// thousands fit a machine, one with OpenSSH on both ends.
const (
	manyPort  = 22
	stockPort = 2022
)

// preempting are gateways of which the first takes the VIPs back.
const preempting = `
dataplane: {interfaces: [ext0, int0], xdp: native, max_flows: 16384}
virtual_clusters:
  - name: edge
    vrid: 51
    priority: {gw-a: 150, gw-b: 100}
    preempt: true
    heartbeat: {interface: hb0, addr: "${heartbeat_addr}"}
    addrs: [{interface: ext0, addr: "${ext_addr}"}, {interface: int0, addr: "${int_addr}"}]
    vips: [{addr: 192.0.2.3/24, interface: ext0}, {addr: 10.0.2.3/24, interface: int0}]
services:
`

// calm is a check that a machine full of logins does not fail.
const calm = "{type: tcp, interval: 5s, timeout: 4s, rise: 1, fall: 3}"

func (w way) service(name string, port int, backends int) string {
	var list []string
	for i := range backends {
		list = append(list, fmt.Sprintf("\"10.0.2.%d:%d\"", 11+i, port))
	}
	return fmt.Sprintf("  - {name: %s, listen: \"192.0.2.3:%d\", %s, backends: [%s], health_check: %s}\n",
		name, port, w.mode, strings.Join(list, ", "), calm)
}

// crowds are SSH sessions through gateways, half of them idle, half of them
// moving data that is compared.
type crowds struct {
	*gateways
	way   way
	many  *sshtest.RemoteCrowd
	stock *sshtest.Crowd
	// total is the number of all sessions.
	total int
	began time.Time
}

// gather starts gateways and backends, and opens so many sessions of each kind.
func gather(t *testing.T, w way, many, stock int) *crowds {
	t.Helper()
	nettest.Require(t, nettest.Program("sshd"), nettest.Program("ssh"))
	const backends = 3
	w.options.Backends = backends
	c := &crowds{way: w, total: many + stock, began: time.Now()}
	c.gateways = newGateways(t, w.options, preempting+w.service("many", manyPort, backends)+w.service("stock", stockPort, backends))
	user, err := sshtest.NewKey()
	must(t, err)
	host, err := sshtest.NewKey()
	must(t, err)
	client, err := sshtest.NewClient(c.Client, t.TempDir())
	must(t, err)
	for _, b := range c.Backends {
		c.serve(b, host, user.Public(), client.PublicKey())
		if w.tunnel {
			c.takeOut(b)
		}
	}
	c.start()
	c.many, err = sshtest.StartCrowd(t.Context(), c.Client, sshtest.RemoteOptions{
		CrowdOptions: sshtest.CrowdOptions{Sessions: many, Moving: many / 2, Every: time.Second},
		Addr:         c.at(manyPort), HostKey: host.Public(), UserKey: user,
	})
	must(t, err)
	t.Cleanup(func() { c.end(c.many.Close()) })
	must(t, client.Trust(c.at(stockPort), host.Public()))
	open := func(ctx context.Context) (io.ReadWriteCloser, error) { return logIn(ctx, client, c.at(stockPort)) }
	c.stock, err = sshtest.NewCrowd(t.Context(), open, sshtest.CrowdOptions{Sessions: stock, Moving: stock / 2, Every: time.Second})
	must(t, err)
	t.Cleanup(func() { c.end(c.stock.Close()) })
	return c
}

// logIn returns when OpenSSH has logged in, not when it was started.
func logIn(ctx context.Context, client *sshtest.Client, at netip.AddrPort) (io.ReadWriteCloser, error) {
	s, err := client.Start(ctx, at, "echo here; cat")
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(s, make([]byte, len("here\n"))); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (c *crowds) end(err error) {
	if err != nil {
		c.t.Error(err)
	}
}

func (c *crowds) at(port uint16) netip.AddrPort { return netip.AddrPortFrom(c.VIP.V4, port) }

// serve starts the two SSH servers of a backend.
func (c *crowds) serve(b *nettest.Backend, host sshtest.Key, users ...ssh.PublicKey) {
	c.t.Helper()
	everywhere := func(port uint16) []netip.AddrPort {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
	}
	many, err := sshtest.StartRemoteServer(c.t.Context(), b.Namespace, sshtest.ServerOptions{
		Addrs: everywhere(manyPort), HostKey: host, Authorized: users[:1], Proxy: c.way.proxy,
	})
	must(c.t, err)
	c.t.Cleanup(func() { c.end(many.Close()) })
	dir, at := c.t.TempDir(), everywhere(stockPort)
	if c.way.proxy {
		at = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2222")}
	}
	stock, err := sshtest.Start(c.t.Context(), b.Namespace, sshtest.ServerOptions{
		Name: b.Label, Addrs: at, Dir: dir, HostKey: host, Authorized: users[1:],
	})
	must(c.t, err)
	c.t.Cleanup(func() { c.end(stock.Close()) })
	if c.way.proxy {
		nettest.ReceiveForTest(c.t, b.Namespace, "haproxy", dir, everywhere(stockPort), at[0])
	}
}

// takeOut runs a sluice on a backend that takes packets of both gateways out.
func (c *crowds) takeOut(b *nettest.Backend) {
	c.t.Helper()
	g := &gateway{all: c.gateways, dir: c.t.TempDir(), bpffs: nettest.BPFFS(c.t)}
	g.ClusterGateway = &nettest.ClusterGateway{Namespace: b.Namespace, Label: b.Label}
	must(c.t, os.Chmod(g.dir, 0o755))
	var err error
	g.log, err = os.Create(filepath.Join(g.dir, "log"))
	must(c.t, err)
	c.t.Cleanup(g.finish)
	var from []string
	for _, o := range c.Gateways {
		from = append(from, o.Int.V4.String())
	}
	text := fmt.Sprintf("node: {name: %s, data_dir: %s, bpffs: %s, control: {socket: %s}}\n",
		b.Label, filepath.Join(g.dir, "data"), filepath.Join(g.bpffs, "sluice"), g.socket())
	text += fmt.Sprintf("dataplane: {xdp: native, decap: {interfaces: [%s], from: [%s], vips: [%s]}}\n",
		nettest.HostLink, strings.Join(from, ", "), c.VIP.V4)
	must(c.t, os.WriteFile(g.file(), []byte(text), 0o644))
	g.run()
	c.eventually(b.Label+" takes packets out", func() error {
		_, err := g.try("status", "--json")
		return err
	})
}

// whole wants every session to send something and get it back.
func (c *crowds) whole(when string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	stock := make(chan []error, 1)
	go func() { stock <- c.stock.Answer(ctx) }()
	lost, err := c.many.Answer(2 * patience)
	must(c.t, err)
	for _, err := range <-stock {
		lost = append(lost, "OpenSSH: "+err.Error())
	}
	if len(lost) > 0 {
		c.t.Fatalf("%s: %d of %d sessions are lost: %q", when, len(lost), c.total, lost[:min(len(lost), 3)])
	}
}

// checked is how many bytes went there and back and were compared.
func (c *crowds) checked() int64 {
	c.t.Helper()
	moved, err := c.many.Moved()
	must(c.t, err)
	return moved + c.stock.Moved()
}

// shown is what a test of full size is run for.
func (c *crowds) shown(did string) {
	c.t.Helper()
	c.t.Logf("%s: %d connections, 0 lost, %.1f MB checked, %s, %.0f s",
		c.way, c.total, float64(c.checked())/1e6, did, time.Since(c.began).Seconds())
}
