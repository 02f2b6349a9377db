package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"sluice/internal/control"
	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
	"sluice/internal/node"
	"sluice/internal/node/handover"
)

// pairWorld is two gateways on the clients' network that terminate the
// connections of one VIP of each family together:
//
//	 client          gw-a (VIPs)        gw-b
//	 .100              .1 .3             .2
//	──┴──────────────────┴────────────────┴── outside
//
// Each has an OpenSSH that listens on its loopback interface and hands its
// listening sockets over.
type pairWorld struct {
	*nettest.Gateway
	t      *testing.T
	via    string
	client *sshtest.Client
	a, b   *gatewayNode
}

// gatewayNode is one of the two.
type gatewayNode struct {
	*daemon
	name   string
	ns     *nettest.Namespace
	addr   nettest.Pair
	dir    string
	server *sshtest.Server
	keys   sshtest.ServerOptions
}

const clusterKey = "cluster.key"

func newPair(t *testing.T, via string) *pairWorld {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF, nettest.Program("sshd"), nettest.Program("ssh"))
	w := &pairWorld{Gateway: nettest.GatewayForTest(t, nettest.GatewayOptions{Backends: 1}), t: t, via: via}
	second := nettest.Pair{V4: netip.MustParseAddr("192.0.2.2"), V6: netip.MustParseAddr("2001:db8:1::2")}
	gwb := nettest.ForTest(t)
	must(t, nettest.Veth(gwb, nettest.OutsideLink, w.Switch, "gwb-ext"))
	must(t, w.Switch.Plug("outside", "gwb-ext"))
	must(t, w.Switch.AttachPass("gwb-ext"))
	must(t, gwb.AddAddr(nettest.OutsideLink, netip.PrefixFrom(second.V4, 24)))
	must(t, gwb.AddAddr(nettest.OutsideLink, netip.PrefixFrom(second.V6, 64)))
	must(t, w.Settled(t.Context()))
	must(t, gwb.Settled(t.Context()))
	bpffs := [2]string{nettest.BPFFS(t), nettest.BPFFS(t)}
	w.a = &gatewayNode{daemon: newDaemon(t, w.GW), name: "gw-a", ns: w.GW, addr: w.OutsideAddr}
	w.b = &gatewayNode{daemon: newDaemon(t, gwb), name: "gw-b", ns: gwb, addr: second}

	var err error
	w.client, err = sshtest.NewClient(w.Client, t.TempDir())
	must(t, err)
	key, err := sshtest.NewKey()
	must(t, err)
	for _, vip := range vips {
		must(t, w.client.Trust(vip, key.Public()))
	}
	for i, n := range []*gatewayNode{w.a, w.b} {
		n.write(strings.Replace(n.node(bpffs[i]), "name: gw,", "name: "+n.name+",", 1) + w.settings())
		n.keys = sshtest.ServerOptions{
			Name: n.name, Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2222"), netip.MustParseAddrPort("[::1]:2222")},
			HostKey: key, Authorized: []ssh.PublicKey{w.client.PublicKey()},
		}
		n.start()
		n.serve()
		if n == w.a { // both lay out the same rings
			data, err := os.ReadFile(filepath.Join(n.daemon.dir, "data", clusterKey))
			must(t, err)
			must(t, os.MkdirAll(filepath.Join(w.b.daemon.dir, "data"), 0o700))
			must(t, os.WriteFile(filepath.Join(w.b.daemon.dir, "data", clusterKey), data, 0o600))
		}
	}
	w.allUp()
	return w
}

// settings are the same on both.
func (w *pairWorld) settings() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nodes:\n  gw-a: {ext4: %s, ext6: \"%s\"}\n  gw-b: {ext4: %s, ext6: \"%s\"}\n", w.a.addr.V4, w.a.addr.V6, w.b.addr.V4, w.b.addr.V6)
	fmt.Fprintf(&b, "dataplane: {interfaces: [%s], xdp: native, max_flows: 16384}\nservices:\n", nettest.OutsideLink)
	for _, family := range []string{"IPv4", "IPv6"} {
		variable := "ext" + family[3:]
		fmt.Fprintf(&b, "  - {name: %s, listen: \"%s\", mode: sshd, nodes: [gw-a, gw-b], node_addr: \"${%s}\", via: %s, health_check: %s}\n",
			strings.ToLower(family), vips[family], variable, w.via, eagerCheck)
	}
	return b.String()
}

// listenAt says which of the addresses is of a family.
var listenAt = map[string]int{"IPv4": 0, "IPv6": 1}

// serve starts OpenSSH and hands its sockets over.
func (n *gatewayNode) serve() {
	n.t.Helper()
	n.keys.Dir = n.t.TempDir()
	var err error
	n.server, err = sshtest.Start(n.t.Context(), n.ns, n.keys)
	must(n.t, err)
	stop := n.server.Close
	n.t.Cleanup(func() { _ = stop() })
	for family := range vips {
		f, err := listenerOf(filepath.Join(n.keys.Dir, "sshd.pid"), n.keys.Addrs[listenAt[family]])
		must(n.t, err)
		must(n.t, handover.Give(n.t.Context(), node.ListenersSocket(n.socket()), strings.ToLower(family), f))
		must(n.t, f.Close())
	}
}

// listenerOf takes a listening socket from the process that a file names: sshd
// would not give it by itself.
func listenerOf(pidFile string, at netip.AddrPort) (*os.File, error) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	return nettest.ListenerOf(pid, at)
}

// shown are the backends as a node shows them, by node and family.
func (n *gatewayNode) shown() map[string]control.Backend {
	n.t.Helper()
	var list struct{ Backends []control.Backend }
	n.query(&list, "show", "backends")
	out := map[string]control.Backend{}
	for _, b := range list.Backends {
		family := "IPv4"
		if b.Addr.Addr().Is6() {
			family = "IPv6"
		}
		out[b.Name+" "+family] = b
	}
	return out
}

// is waits until both addresses of a node are in a state on n.
func (n *gatewayNode) is(name, state string) {
	n.t.Helper()
	n.eventually(name+" is "+state, func() error {
		for family := range vips {
			if b := n.shown()[name+" "+family]; string(b.State) != state {
				return fmt.Errorf("%s of %s is %q: %s", name, family, b.State, b.Reason)
			}
		}
		return nil
	})
}

func (w *pairWorld) allUp() {
	w.t.Helper()
	for _, n := range []*gatewayNode{w.a, w.b} {
		for _, name := range []string{"gw-a", "gw-b"} {
			n.is(name, "up")
		}
	}
}

// logins logs in count times and returns how many of them each node had.
func (w *pairWorld) logins(t *testing.T, vip netip.AddrPort, count int) map[string]int {
	t.Helper()
	had := map[string]int{}
	for range count {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		out, err := w.client.Run(ctx, vip, "echo $SLUICE_BACKEND $SSH_CONNECTION")
		cancel()
		if err != nil {
			t.Fatalf("log in to %s: %v", vip, err)
		}
		fields := strings.Fields(out)
		if len(fields) != 5 || fields[1] != w.ClientAddr.Like(vip.Addr()).String() || fields[3] != vip.Addr().String() {
			t.Fatalf("a login to %s sees %q", vip, out)
		}
		had[fields[0]]++
	}
	return had
}

// echoing is a login that echoes lines.
type echoing struct {
	*sshtest.Session
	node, family string
}

// sessions opens a login on each node by each VIP.
func (w *pairWorld) sessions(t *testing.T) (list []*echoing) {
	t.Helper()
	for family, vip := range vips {
		missing := map[string]bool{"gw-a": true, "gw-b": true}
		for tries := 0; len(missing) > 0; tries++ {
			if tries == 100 {
				t.Fatalf("100 logins to %s never reached %v", vip, missing)
			}
			s, err := w.client.Start(t.Context(), vip, "echo $SLUICE_BACKEND; cat")
			must(t, err)
			name := readLine(t, s)
			if !missing[name] {
				must(t, s.CloseWrite())
				must(t, s.Close())
				continue
			}
			delete(missing, name)
			list = append(list, &echoing{s, name, family})
		}
	}
	return list
}

func readLine(t *testing.T, s *sshtest.Session) string {
	t.Helper()
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := s.Read(b); err != nil {
			t.Fatalf("read of a session after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

// alive speaks through every session.
func alive(t *testing.T, when string, list []*echoing) {
	t.Helper()
	for _, s := range list {
		said := fmt.Sprintf("%s %d", when, time.Now().UnixNano())
		if _, err := s.Write([]byte(said + "\n")); err != nil {
			t.Fatalf("%s: session on %s by %s: %v", when, s.node, s.family, err)
		}
		if got := readLine(t, s.Session); got != said {
			t.Fatalf("%s: session on %s by %s echoes %q, want %q", when, s.node, s.family, got, said)
		}
	}
}

// reach wants logins to reach these nodes, and no other.
func (w *pairWorld) reach(t *testing.T, when string, names ...string) {
	t.Helper()
	for _, vip := range vips {
		had := map[string]int{}
		// One side stays unmet in 40 logins once in 10^12 times; a node that must
		// not be met has 4 chances.
		for tries := 0; tries < 40 && (len(had) < len(names) || len(names) == 1 && tries < 4); tries++ {
			for name, n := range w.logins(t, vip, 1) {
				had[name] += n
			}
		}
		if len(had) != len(names) || had[names[0]] == 0 {
			t.Errorf("%s: logins to %s reached %v, want %v", when, vip, had, names)
		}
	}
}

// TestNodes terminates one VIP on two gateways: logins reach both and are
// counted where they went; a drain and a dead listener take a node out for what
// is new alone; and when the address moves, all goes on.
func TestNodes(t *testing.T) {
	w := newPair(t, "dsr")
	w.counted(t)
	w.healthyByDoctor(t)
	w.owns(t, w.a.ns)

	living := w.sessions(t)
	w.a.do("drain", "gw-b")
	w.reach(t, "gw-b is drained", "gw-a")
	alive(t, "gw-b is drained", living)
	w.a.do("enable", "gw-b")
	w.a.is("gw-b", "up")
	w.reach(t, "gw-b is back", "gw-a", "gw-b")

	must(t, w.b.server.Close())
	w.a.is("gw-b", "down")
	w.b.is("gw-b", "down")
	w.reach(t, "gw-b has no listener", "gw-a")
	alive(t, "gw-b has no listener", living)
	w.b.serve()
	w.allUp()
	must(t, w.a.server.Close())
	w.a.is("gw-a", "down")
	w.b.is("gw-a", "down")
	w.reach(t, "gw-a has no listener", "gw-b")
	alive(t, "gw-a has no listener", living)
	w.a.serve()
	w.allUp()

	w.move(t, w.a, w.b)
	alive(t, "the VIP moved", living)
	w.reach(t, "the VIP moved", "gw-a", "gw-b")
	w.owns(t, w.b.ns)
	w.healthyByDoctor(t)
	// Its own sessions are in no table of gw-b, and the ring leaves them.
	w.b.do("drain", "gw-b")
	w.reach(t, "gw-b has the VIP and is drained", "gw-a")
	alive(t, "gw-b has the VIP and is drained", living)
	w.b.do("enable", "gw-b")
	w.b.is("gw-b", "up")
	w.move(t, w.b, w.a)
	alive(t, "the VIP is back", living)
	w.reach(t, "the VIP is back", "gw-a", "gw-b")

	w.b.stop()
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := w.b.ns.Netlink().RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
		must(t, err)
		for _, r := range routes {
			for _, vip := range vips {
				if r.Dst != nil && r.Dst.IP.Equal(vip.Addr().AsSlice()) {
					t.Errorf("after its stop gw-b still has %v", r)
				}
			}
		}
	}
	w.a.is("gw-b", "down")
	w.reach(t, "gw-b is stopped", "gw-a")
}

// TestNodesByTunnel does the same where nodes put packets into others, which each
// takes out where it steers, too.
func TestNodesByTunnel(t *testing.T) {
	for _, via := range []string{"ipip", "gue"} {
		t.Run(via, func(t *testing.T) {
			w := newPair(t, via)
			w.counted(t)
			w.healthyByDoctor(t)
			living := w.sessions(t)
			must(t, w.b.server.Close())
			w.a.is("gw-b", "down")
			w.reach(t, "gw-b has no listener", "gw-a")
			alive(t, "gw-b has no listener", living)
			w.b.serve()
			w.allUp()
			w.move(t, w.a, w.b)
			alive(t, "the VIP moved", living)
			w.reach(t, "the VIP moved", "gw-a", "gw-b")
		})
	}
}

// counted compares what the nodes counted with where the logins went.
func (w *pairWorld) counted(t *testing.T) {
	t.Helper()
	for family, vip := range vips {
		before := w.a.shown()
		had := w.logins(t, vip, 12)
		if had["gw-a"] == 0 || had["gw-b"] == 0 {
			t.Errorf("12 logins to %s went to %v", vip, had)
		}
		after := w.a.shown()
		for _, name := range []string{"gw-a", "gw-b"} {
			was, is := before[name+" "+family], after[name+" "+family]
			if got := is.FlowsOpened - was.FlowsOpened; got != uint64(had[name]) {
				t.Errorf("%s: %d logins by %s, gw-a counted %d", name, had[name], family, got)
			}
			if is.PacketsIn-was.PacketsIn < 10*uint64(had[name]) || is.PacketsOut != 0 {
				t.Errorf("%s by %s: counted %d packets in, %d out", name, family, is.PacketsIn-was.PacketsIn, is.PacketsOut)
			}
		}
		// Checks of gw-a are among them.
		var list struct{ Services []control.Service }
		w.b.query(&list, "show", "services")
		for _, s := range list.Services {
			if s.Listen == vip && (s.SYNs < uint64(had["gw-b"]) || s.Mode != "sshd" || s.FlowsOpened != 0) {
				t.Errorf("gw-b shows %+v after %d logins", s, had["gw-b"])
			}
		}
	}
	for _, n := range []*gatewayNode{w.a, w.b} {
		if d := n.dropped("not_owner"); d != 0 {
			t.Errorf("%s dropped %d packets as not_owner", n.name, d)
		}
	}
}

// healthyByDoctor wants the doctor to find nothing wrong with nodes.
func (w *pairWorld) healthyByDoctor(t *testing.T) {
	t.Helper()
	for _, n := range []*gatewayNode{w.a, w.b} {
		out, _ := n.try("doctor", "--json") // it finds the machine's clock and the like
		looked := 0
		for line := range strings.Lines(strings.ReplaceAll(out, "},", "},\n")) {
			about := strings.Contains(line, "node gw-") || strings.Contains(line, "VIP ")
			if about {
				looked++
			}
			if about && (strings.Contains(line, `"fail"`) || strings.Contains(line, `"warn"`)) {
				t.Errorf("the doctor of %s finds %s", n.name, line)
			}
		}
		if looked < 6 {
			t.Errorf("the doctor of %s looked at %d things: %s", n.name, looked, out)
		}
	}
}

// owns wants the client to know the VIP by one node's MAC, whoever it is asked
// by and whoever answers logins.
func (w *pairWorld) owns(t *testing.T, holder *nettest.Namespace) {
	t.Helper()
	mac, err := holder.MAC(nettest.OutsideLink)
	must(t, err)
	index, err := w.Client.Index(nettest.HostLink)
	must(t, err)
	for range 3 {
		w.forget(t)
		for _, vip := range vips {
			must(t, w.dial(t, vip, 6).Close())
		}
		neighbours, err := w.Client.Netlink().NeighList(index, netlink.FAMILY_ALL)
		must(t, err)
		found := 0
		for _, n := range neighbours {
			for _, vip := range vips {
				if n.IP.Equal(vip.Addr().AsSlice()) {
					found++
					if n.HardwareAddr.String() != mac.String() {
						t.Errorf("the client knows %s by %s, want %s", vip.Addr(), n.HardwareAddr, mac)
					}
				}
			}
		}
		if found != len(vips) {
			t.Errorf("the client knows %d of %d VIPs", found, len(vips))
		}
	}
}

// dial connects so often that some connections meet each node.
func (w *pairWorld) dial(t *testing.T, vip netip.AddrPort, count int) nettest.Conns {
	t.Helper()
	conns, err := nettest.OpenConns(t.Context(), w.Client, vip, count)
	must(t, err)
	_, err = conns.Read(len("SSH-2.0-"), patience)
	must(t, err)
	return conns
}

// forget has the client ask anew who has the VIPs.
func (w *pairWorld) forget(t *testing.T) {
	t.Helper()
	index, err := w.Client.Index(nettest.HostLink)
	must(t, err)
	for _, vip := range vips {
		err := w.Client.Netlink().NeighDel(&netlink.Neigh{LinkIndex: index, IP: vip.Addr().AsSlice(), State: netlink.NUD_NONE})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			t.Fatal(err)
		}
	}
}

// move moves the addresses, as an operator or another program would, and waits
// until the new node spreads.
func (w *pairWorld) move(t *testing.T, from, to *gatewayNode) {
	t.Helper()
	for _, vip := range vips {
		single := netip.PrefixFrom(vip.Addr(), vip.Addr().BitLen())
		must(t, from.ns.DelAddr(nettest.OutsideLink, single))
		must(t, to.ns.AddAddr(nettest.OutsideLink, single))
	}
	must(t, to.ns.Settled(t.Context()))
	w.forget(t)
	eventually(t, to.name+" spreads", func() error {
		for family, vip := range vips {
			before := to.shown()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := w.client.Backend(ctx, vip)
			cancel()
			if err != nil {
				return err
			}
			after, opened := to.shown(), uint64(0)
			for _, name := range []string{"gw-a", "gw-b"} {
				opened += after[name+" "+family].FlowsOpened - before[name+" "+family].FlowsOpened
			}
			if opened == 0 {
				return fmt.Errorf("it does not steer %s", vip)
			}
		}
		return nil
	})
}
