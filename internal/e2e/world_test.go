package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
)

// shape is a way through the gateway.
type shape struct {
	mode, clientAddress string
	// crossed has outer headers of the other family than the VIP's.
	crossed bool
}

// oneWay says that backends hold the VIPs and answer directly.
func (s shape) oneWay() bool { return s.mode == "dsr" || s.tunnels() }

func (s shape) tunnels() bool { return s.mode == "ipip" || s.mode == "gue" }

func (s shape) String() string {
	if s.crossed {
		return s.mode + " crossed"
	}
	return strings.TrimSpace(s.mode + " " + s.clientAddress)
}

// yaml are the lines of a service that choose the shape.
func (s shape) yaml() string {
	if s.clientAddress == "" {
		return "mode: " + s.mode
	}
	return fmt.Sprintf("mode: %s, client_address: %s", s.mode, s.clientAddress)
}

var shapes = []shape{
	{mode: "nat", clientAddress: "hide"}, {mode: "nat", clientAddress: "proxy_v2"}, {mode: "nat", clientAddress: "keep"}, {mode: "dsr"}, {mode: "gue"},
}

var vips = map[string]netip.AddrPort{
	"IPv4": netip.MustParseAddrPort("192.0.2.3:22"),
	"IPv6": netip.MustParseAddrPort("[2001:db8:1::3]:22"),
}

// world is a gateway that runs sluice between an SSH client and backends.
type world struct {
	*nettest.Gateway
	*daemon
	shape  shape
	bpffs  string
	client *sshtest.Client
	// check is the health check of the services.
	check   string
	hostKey sshtest.Key
	// decaps are the daemons on the backends of shapes that tunnel.
	decaps []*decapDaemon
}

// Health checks: one that notices soon, and one that stays calm while hundreds
// of logins at once keep the servers of one machine busy.
const (
	eagerCheck = "{type: ssh, interval: 500ms, timeout: 300ms, rise: 2, fall: 3}"
	calmCheck  = "{type: tcp, interval: 10s, timeout: 9s, rise: 1, fall: 3}"
)

// newWorld builds the network and starts an SSH server on every backend, but
// not yet sluice.
func newWorld(t *testing.T, s shape) *world { return newWorldOn(t, s, nettest.GatewayOptions{}) }

// newWorldOn is newWorld on links of another kind.
func newWorldOn(t *testing.T, s shape, o nettest.GatewayOptions) *world {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF, nettest.Program("sshd"), nettest.Program("ssh"))
	if s.oneWay() {
		for _, vip := range vips {
			o.DSR = append(o.DSR, vip.Addr())
		}
	}
	g := nettest.GatewayForTest(t, o)
	bpffs := nettest.BPFFS(t) // before the daemon: what is first made is last removed
	w := &world{Gateway: g, daemon: newDaemon(t, g.GW), shape: s, bpffs: bpffs, check: eagerCheck}
	var err error
	w.client, err = sshtest.NewClient(g.Client, t.TempDir())
	must(t, err)
	w.hostKey, err = sshtest.NewKey()
	must(t, err)
	for _, vip := range vips {
		must(t, w.client.Trust(vip, w.hostKey.Public()))
	}
	for _, b := range g.Backends {
		w.serve(b)
		if s.tunnels() {
			w.decaps = append(w.decaps, w.takeOut(b))
		}
	}
	return w
}

// serve starts the SSH server of a backend.
func (w *world) serve(b *nettest.Backend) *sshtest.Server {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), b.Label)
	must(w.t, os.MkdirAll(dir, 0o755))
	everywhere := []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:22"), netip.MustParseAddrPort("[::]:22")}
	at := everywhere
	if w.shape.clientAddress == "proxy_v2" {
		// OpenSSH does not read PROXY headers, so HAProxy does in front of it.
		at = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2022")}
	}
	server, err := sshtest.Start(w.context(), b.Namespace, sshtest.ServerOptions{
		Name:       b.Label,
		Addrs:      at,
		Dir:        dir,
		HostKey:    w.hostKey,
		Authorized: []ssh.PublicKey{w.client.PublicKey()},
	})
	must(w.t, err)
	w.t.Cleanup(func() { _ = server.Close() }) // the namespace ends what is left
	if w.shape.clientAddress == "proxy_v2" {
		nettest.ReceiveForTest(w.t, b.Namespace, "haproxy", dir, everywhere, at[0])
	}
	return server
}

func (w *world) context() context.Context { return w.t.Context() }

// service is a service of one family with all backends; extra are more keys of
// the service.
func (w *world) service(family, extra string) string {
	var backends []string
	for _, b := range w.Backends {
		addr := netip.AddrPortFrom(w.outerAddr(b, family), vips[family].Port())
		backends = append(backends, fmt.Sprintf("{name: %s, addr: \"%s\"}", nameOf(b, family), addr))
	}
	return fmt.Sprintf("  - {name: %s, listen: \"%s\", %s, backends: [%s], health_check: %s%s}\n",
		strings.ToLower(family), vips[family], w.shape.yaml(), strings.Join(backends, ", "), w.check, extra)
}

// nameOf is a backend's name in the settings: another address is another
// backend.
func nameOf(b *nettest.Backend, family string) string {
	if family == "IPv6" {
		return b.Label + "-v6"
	}
	return b.Label
}

// configure writes settings with services of both families.
func (w *world) configure() {
	w.t.Helper()
	w.write(w.node(w.bpffs) + w.dataplane() + "services:\n" + w.service("IPv4", "") + w.service("IPv6", ""))
}

func (w *world) dataplane() string {
	return fmt.Sprintf("dataplane: {interfaces: [%s, %s], xdp: native, max_flows: 16384, lifetimes: {half_closed: 10s, closed: 2s}}\n",
		nettest.OutsideLink, nettest.InsideLink)
}

// running is a world whose sluice steers to every backend.
func running(t *testing.T, s shape) *world {
	t.Helper()
	return runningWith(t, s, eagerCheck)
}

func runningWith(t *testing.T, s shape, check string) *world {
	t.Helper()
	w := newWorld(t, s)
	w.check = check
	w.configure()
	w.start()
	w.allUp()
	return w
}
