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
	// pooled says that backends see an address that belongs to the inside VIP.
	pooled bool
	// proxy has backends read PROXY headers, tunnel has them take packets out.
	proxy, tunnel bool
}

func (w way) String() string { return w.name }

var ways = []way{
	{name: "nat hide", mode: "mode: nat, client_address: hide", pooled: true},
	{name: "nat proxy_v2", mode: "mode: nat, client_address: proxy_v2", pooled: true, proxy: true},
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

// preempting are gateways of which the first takes the VIPs back. Tests that share
// a machine advertise less often than the default, so that a late process does
// not lose its role by that alone; how soon a role moves is not asked here.
func preempting() string {
	interval := "500ms"
	if full() {
		interval = "100ms"
	}
	return strings.Replace(preemptingText, "INTERVAL", interval, 1)
}

const preemptingText = `
dataplane: {interfaces: [ext0, int0], xdp: native, max_flows: 16384}
virtual_clusters:
  - name: edge
    vrid: 51
    priority: {gw-a: 150, gw-b: 100}
    preempt: true
    advert_interval: INTERVAL
    heartbeat: {interface: hb0, addr: "${heartbeat_addr}"}
    addrs: [{interface: ext0, addr: "${ext_addr}"}, {interface: int0, addr: "${int_addr}"}]
    vips:
      - {addr: 192.0.2.3/24, interface: ext0}
      - {addr: 10.0.2.3/24, interface: int0}
      - {addr: "2001:db8:1::3/64", interface: ext0}
      - {addr: "2001:db8:2::3/64", interface: int0}
services:
`

// block is what a session that moves sends at once, in bytes.
const block = 8 << 10

// calm is a check that a machine full of logins does not fail.
const calm = "{type: tcp, interval: 5s, timeout: 4s, rise: 1, fall: 3}"

// families are those of services: their names' ends, and the networks.
var families = []struct{ name, vip, pool, backend string }{
	{"4", "192.0.2.3", "10.0.2.3", "10.0.2.%d"},
	{"6", "[2001:db8:1::3]", "2001:db8:2::3", "[2001:db8:2::%d]"},
}

// services are one of each family.
func (w way) services(name string, port int, backends int) string {
	var text strings.Builder
	for _, f := range families {
		var list []string
		for i := range backends {
			list = append(list, fmt.Sprintf(`{name: %s-%s-%d, addr: "`+f.backend+`:%d"}`, name, f.name, i+1, 11+i, port))
		}
		fmt.Fprintf(&text, "  - name: %s-%s\n    listen: \"%s:%d\"\n    %s\n", name, f.name, f.vip, port, strings.ReplaceAll(w.mode, ", ", "\n    "))
		if w.pooled {
			fmt.Fprintf(&text, "    source_pool: [\"%s\"]\n", f.pool)
		}
		fmt.Fprintf(&text, "    backends: [%s]\n    health_check: %s\n", strings.Join(list, ", "), calm)
	}
	return text.String()
}

// crowds are SSH sessions through gateways, half of them idle, half of them
// moving data that is compared.
type crowds struct {
	*gateways
	way   way
	many  []*sshtest.RemoteCrowd // one by each VIP
	stock []*sshtest.Crowd
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
	c.gateways = newGateways(t, w.options, preempting()+w.services("many", manyPort, backends)+w.services("stock", stockPort, backends))
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
	for _, vip := range c.VIPs() {
		at := netip.AddrPortFrom(vip, manyPort)
		crowd, err := sshtest.StartCrowd(t.Context(), c.Client, sshtest.RemoteOptions{
			CrowdOptions: sshtest.CrowdOptions{Sessions: many / 2, Moving: many / 4, Every: time.Second, Block: block},
			Addr:         at, HostKey: host.Public(), UserKey: user,
		})
		must(t, err)
		t.Cleanup(func() { c.end(crowd.Close()) })
		c.many = append(c.many, crowd)
		at = netip.AddrPortFrom(vip, stockPort)
		must(t, client.Trust(at, host.Public()))
		open := func(ctx context.Context) (io.ReadWriteCloser, error) { return logIn(ctx, client, at) }
		few, err := sshtest.NewCrowd(t.Context(), open, sshtest.CrowdOptions{Sessions: stock / 2, Moving: stock / 4, Every: time.Second, Block: block})
		must(t, err)
		t.Cleanup(func() { c.end(few.Close()) })
		c.stock = append(c.stock, few)
	}
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

// serve starts the two SSH servers of a backend.
func (c *crowds) serve(b *nettest.Backend, host sshtest.Key, users ...ssh.PublicKey) {
	c.t.Helper()
	everywhere := func(port uint16) []netip.AddrPort {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port), netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
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
	var from, vips []string
	for _, o := range c.Gateways {
		from = append(from, fmt.Sprintf("%q, %q", o.Int.V4, o.Int.V6))
	}
	for _, vip := range c.VIPs() {
		vips = append(vips, fmt.Sprintf("%q", vip))
	}
	text := fmt.Sprintf("node: {name: %s, data_dir: %s, bpffs: %s, control: {socket: %s}}\n",
		b.Label, filepath.Join(g.dir, "data"), filepath.Join(g.bpffs, "sluice"), g.socket())
	text += fmt.Sprintf("dataplane: {xdp: native, decap: {interfaces: [%s], from: [%s], vips: [%s]}}\n",
		nettest.HostLink, strings.Join(from, ", "), strings.Join(vips, ", "))
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
	answers := make(chan []string, len(c.stock)+len(c.many))
	for _, few := range c.stock {
		go func() {
			var lost []string
			for _, err := range few.Answer(ctx) {
				lost = append(lost, "OpenSSH: "+err.Error())
			}
			answers <- lost
		}()
	}
	for _, crowd := range c.many {
		go func() {
			lost, err := crowd.Answer(2 * patience)
			if err != nil {
				lost = append(lost, err.Error())
			}
			answers <- lost
		}()
	}
	var lost []string
	for range cap(answers) {
		lost = append(lost, <-answers...)
	}
	if len(lost) > 0 {
		c.t.Fatalf("%s: %d of %d sessions are lost: %q", when, len(lost), c.total, lost[:min(len(lost), 3)])
	}
}

// checked is how many bytes went there and back and were compared.
func (c *crowds) checked() (sum int64) {
	c.t.Helper()
	for _, crowd := range c.many {
		moved, err := crowd.Moved()
		must(c.t, err)
		sum += moved
	}
	for _, few := range c.stock {
		sum += few.Moved()
	}
	return sum
}

// contradict has the rings name other backends than many sessions have: what
// was opened on a drained one goes on there.
func (c *crowds) contradict() {
	c.t.Helper()
	for _, g := range c.each {
		_, err := g.try("drain", "many-4-1", "many-6-1", "stock-4-1", "stock-6-1")
		must(c.t, err)
	}
}

// shown is what a test of full size is run for.
func (c *crowds) shown(did string) {
	c.t.Helper()
	c.t.Logf("%s: %d connections, 0 lost, %.1f MB checked, %s, %.0f s",
		c.way, c.total, float64(c.checked())/1e6, did, time.Since(c.began).Seconds())
}
