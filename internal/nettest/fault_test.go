package nettest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// carrier says whether a link has one.
func carrier(t *testing.T, n *Namespace, link string) bool {
	t.Helper()
	l, err := n.Netlink().LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().OperState == netlink.OperUp
}

// carriers lists the links of the gateways that have a carrier.
func carriers(t *testing.T, c *Cluster) string {
	t.Helper()
	var up []string
	for _, g := range c.Gateways {
		for _, link := range []string{OutsideLink, InsideLink, HeartbeatLink} {
			if carrier(t, g.Namespace, link) {
				up = append(up, g.Label+":"+link)
			}
		}
	}
	return strings.Join(up, " ")
}

const allUp = "gw-a:ext0 gw-a:int0 gw-a:hb0 gw-b:ext0 gw-b:int0 gw-b:hb0"

func TestFaultCableOut(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Backends: 1})
	a, b := c.Gateways[0], c.Gateways[1]
	for _, tt := range []struct {
		out  map[*ClusterGateway][]string
		want string
	}{
		{map[*ClusterGateway][]string{a: {OutsideLink}}, "gw-a:int0 gw-a:hb0 gw-b:ext0 gw-b:int0 gw-b:hb0"},
		{map[*ClusterGateway][]string{b: {InsideLink}}, "gw-a:ext0 gw-a:int0 gw-a:hb0 gw-b:ext0 gw-b:hb0"},
		// One cable with two ends.
		{map[*ClusterGateway][]string{a: {HeartbeatLink}}, "gw-a:ext0 gw-a:int0 gw-b:ext0 gw-b:int0"},
		{map[*ClusterGateway][]string{a: {HeartbeatLink}, b: {HeartbeatLink}}, "gw-a:ext0 gw-a:int0 gw-b:ext0 gw-b:int0"},
	} {
		for g, links := range tt.out {
			for _, l := range links {
				if err := g.CableOut(l); err != nil {
					t.Fatal(err)
				}
			}
		}
		eventually(t, tt.want, func() bool { return carriers(t, c) == tt.want })
		// Pulled by both, it must be plugged by both.
		for g := range tt.out {
			if got := carriers(t, c); len(got) > len(tt.want) {
				t.Errorf("%s is back too early", got)
			}
			if err := g.Restore(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, allUp, func() bool { return carriers(t, c) == allUp })
	}
	wantError(t, a.CableOut("eth9"), "eth9", "gw-a", "hb0")
}

// Three gateways have a switch between them, and a cable each.
func TestFaultCableOutOfThree(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Gateways: 3, Backends: 1})
	if err := c.Gateways[0].CableOut(HeartbeatLink); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no carrier", func() bool { return !carrier(t, c.Gateways[0].Namespace, HeartbeatLink) })
	if !reaches(t, c.Gateways[1].Namespace, c.Gateways[2].Heartbeat.V4, 5*time.Second) {
		t.Error("the other two do not reach each other")
	}
}

// pipe is a datagram socket on each of two hosts.
type pipe struct{ a, b net.PacketConn }

func newPipe(t *testing.T, a *Namespace, addrA netip.Addr, b *Namespace, addrB netip.Addr) pipe {
	t.Helper()
	open := func(n *Namespace, at netip.Addr) (c net.PacketConn) {
		err := n.Do(func() (err error) {
			c, err = net.ListenPacket("udp", netip.AddrPortFrom(at, 9).String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	return pipe{open(a, addrA), open(b, addrB)}
}

// carries says which ways datagrams take: "a>b", "b>a". Only what was sent now
// counts.
func (p pipe) carries(t *testing.T, nonce string) string {
	t.Helper()
	var ways []string
	for _, w := range []struct {
		name     string
		from, to net.PacketConn
	}{{"a>b", p.a, p.b}, {"b>a", p.b, p.a}} {
		if _, err := w.from.WriteTo([]byte(nonce), w.to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if err := w.to.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for {
			buffer := make([]byte, 100)
			n, _, err := w.to.ReadFrom(buffer)
			if err != nil {
				break
			}
			if string(buffer[:n]) == nonce {
				ways = append(ways, w.name)
				break
			}
		}
	}
	return strings.Join(ways, " ")
}

func TestFaultSilentLoss(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Backends: 1})
	g, b := c.Gateways[0], c.Backends[0]
	pipes := map[string]pipe{
		OutsideLink:   newPipe(t, g.Namespace, g.Ext.V4, c.Client, c.ClientAddr.V4),
		InsideLink:    newPipe(t, g.Namespace, g.Int.V6, b.Namespace, b.Addr.V6),
		HeartbeatLink: newPipe(t, g.Namespace, g.Heartbeat.V4, c.Gateways[1].Namespace, c.Gateways[1].Heartbeat.V4),
	}
	round := 0
	want := func(way map[string]string) {
		t.Helper()
		for link, p := range pipes {
			expect, broken := way[link]
			if !broken {
				expect = "a>b b>a"
			}
			round++
			if got := p.carries(t, fmt.Sprint(round)); got != expect {
				t.Errorf("%s carries %q, want %q", link, got, expect)
			}
		}
	}
	want(nil) // and neighbours know each other
	for _, link := range []string{OutsideLink, InsideLink, HeartbeatLink} {
		for _, step := range []struct {
			lost Direction
			want string
		}{{Outbound, "b>a"}, {Inbound, "a>b"}, {BothWays, ""}, {Outbound, "b>a"}} {
			if err := g.SilentLoss(link, step.lost); err != nil {
				t.Fatal(err)
			}
			want(map[string]string{link: step.want})
		}
		if got := carriers(t, c); got != allUp {
			t.Errorf("silent loss on %s took a carrier: %s", link, got)
		}
		if err := g.Restore(); err != nil {
			t.Fatal(err)
		}
		want(nil)
	}
}

func TestFaultPowerOff(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Backends: 1})
	a, b := c.Gateways[0], c.Gateways[1]
	asleep := a.Command(t.Context(), "sleep", "1000")
	if err := asleep.Start(); err != nil {
		t.Fatal(err)
	}
	vip := single(c.VIP.V4)
	link := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "vip0"}, Mode: netlink.MACVLAN_MODE_BRIDGE}
	parent, err := a.Index(OutsideLink)
	if err != nil {
		t.Fatal(err)
	}
	link.ParentIndex = parent
	if err := a.Netlink().LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"vip0", InsideLink} {
		if err := a.AddAddr(at, vip); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if err := asleep.Wait(); err == nil || !contains(err.Error(), "killed") {
		t.Errorf("its process ended by %v", err)
	}
	eventually(t, "no carrier", func() bool { return carriers(t, c) == "gw-b:ext0 gw-b:int0" })
	if !a.Off() || b.Off() || !reaches(t, c.Client, b.Ext.V4, 5*time.Second) {
		t.Error("the other gateway is touched")
	}
	if err := a.Restore(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "carriers", func() bool { return carriers(t, c) == allUp })
	if a.Off() || !reaches(t, c.Client, a.Ext.V4, 5*time.Second) || !reaches(t, a.Namespace, c.Beyond.V6, 5*time.Second) {
		t.Error("it is not reached after it was restored")
	}
	if _, err := a.Index("vip0"); err == nil {
		t.Error("a link that a program made is there after a boot")
	}
	addrs, err := a.Netlink().AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if addr.IP.Equal(vip.Addr().AsSlice()) {
			t.Error("the VIP is there after a boot")
		}
	}
}

// A process that is killed closes its connections, and nobody must hear of it.
func TestFaultPowerOffIsSilent(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Backends: 1})
	g := c.Gateways[0]
	shell, err := FindProgram("bash")
	if err != nil {
		t.Skip(err)
	}
	s := ServeForTest(t, c.Client, netip.AddrPortFrom(c.ClientAddr.V4, 9), ServerOptions{})
	cmd := g.Command(t.Context(), shell, "-c", "exec 3<>/dev/tcp/"+c.ClientAddr.V4.String()+"/9; read -u 3")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its connection", func() bool { return s.Open() == 1 })
	before := received(t, c.Client, HostLink)
	if err := g.PowerOff(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !reaches(t, c.Client, c.Gateways[1].Ext.V4, 5*time.Second) {
		t.Error("the client does not reach the other gateway")
	}
	if s.Open() != 1 {
		t.Errorf("the client was told of the end; %d packets came", received(t, c.Client, HostLink)-before)
	}
}

func TestFaultProcesses(t *testing.T) {
	c := ClusterForTest(t, ClusterOptions{Backends: 1})
	a, b := c.Gateways[0], c.Gateways[1]
	start := func(n *Namespace, args ...string) *Cmd {
		cmd := n.Command(t.Context(), "sleep", args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // what is not asked about here
		})
		return cmd
	}
	short, long, other := start(a.Namespace, "1000"), start(a.Namespace, "1001"), start(b.Namespace, "1000")
	states := func(all ...*Cmd) (got string) {
		for _, cmd := range all {
			got += stateOf(t, cmd)
		}
		return got
	}
	eventually(t, "all sleep", func() bool { return states(short, long, other) == "SSS" })
	if err := a.Stop("sleep", "1000"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one is stopped", func() bool { return states(short, long, other) == "TSS" })
	if err := a.Continue(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return states(short) == "S" })
	if err := a.Stop("sleep"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two are stopped", func() bool { return states(short, long, other) == "TTS" })
	if err := a.Restore(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both go on", func() bool { return states(short, long) == "SS" })
	if err := a.Kill9("sleep", "1001"); err != nil {
		t.Fatal(err)
	}
	if err := long.Wait(); err == nil || !contains(err.Error(), "killed") {
		t.Errorf("it ended by %v", err)
	}
	if got := states(short, other); got != "SS" {
		t.Errorf("the others are %s", got)
	}
	wantError(t, a.Kill9("sleep", "1001"), "SIGKILL", "gw-a", "sleep 1001")
	wantError(t, a.Kill9("slee"), "no process")
}

// stateOf is that of a process: "S" sleeps, "T" is stopped.
func stateOf(t *testing.T, cmd *Cmd) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}
