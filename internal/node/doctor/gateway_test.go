package doctor

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/internal/node/clusterkey"
	"sluice/internal/node/links"
)

// A neighbour answers a stranger's address as it answers the interface's, nobody
// learns from the question, and no interface is left.
func TestStrangerIsAnswered(t *testing.T) {
	s := newSite(t)
	far := netip.MustParseAddr("10.0.0.11")
	mac, err := s.backend.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	s.inside(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := system{}.WhoHasFor(ctx, "int0", strangerMAC("int0", 51), far)
		if err != nil || len(got) != 1 || !slices.Equal(got[0], mac) {
			t.Errorf("%v, %v; want %v", got, err, mac)
		}
		if _, err := (system{}).WhoHasFor(ctx, "eth7", strangerMAC("eth7", 51), far); err == nil {
			t.Error("asked on an interface that is not there")
		}
		if err := (system{}).Macvlan("int0"); err != nil {
			t.Error(err)
		}
		if err := (system{}).Macvlan("eth7"); err == nil {
			t.Error("a macvlan on an interface that is not there")
		}
		list, err := net.Interfaces()
		if err != nil || len(list) != 2 {
			t.Errorf("interfaces are left: %v, %v", list, err)
		}
	})
	index, err := s.backend.Index("eth0")
	if err != nil {
		t.Fatal(err)
	}
	neighbours, err := s.backend.Netlink().NeighList(index, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range neighbours {
		if slices.Equal(n.HardwareAddr, strangerMAC("int0", 51)) {
			t.Errorf("the neighbour has learned %v", n)
		}
	}
}

// The card takes frames for the address, as for a macvlan's, and no longer than
// the question lasts.
func TestCardTakesTheStranger(t *testing.T) {
	s := newSite(t)
	index, err := s.gw.Index("int0")
	if err != nil {
		t.Fatal(err)
	}
	taken := func() bool {
		list, err := s.gw.Netlink().NeighList(index, unix.AF_BRIDGE)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list, func(n netlink.Neigh) bool { return slices.Equal(n.HardwareAddr, strangerMAC("int0", 51)) })
	}
	s.inside(t, func() {
		socket, err := openFrames("int0", strangerMAC("int0", 51), unix.ETH_P_ARP, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !taken() {
			t.Error("not taken")
		}
		if err := socket.Close(); err != nil || taken() {
			t.Errorf("still taken, %v", err)
		}
	})
}

// wire is a fake whose questions by ARP are the kernel's.
type wire struct{ *fake }

func (wire) WhoHas(ctx context.Context, link string, addr netip.Addr) ([]net.HardwareAddr, error) {
	return system{}.WhoHas(ctx, link, addr)
}

func (wire) WhoHasFor(ctx context.Context, link string, from net.HardwareAddr, addr netip.Addr) ([]net.HardwareAddr, error) {
	return system{}.WhoHasFor(ctx, link, from, addr)
}

// A switch that lets one MAC address in by each port, and no frame of another out
// again: what a hypervisor does.
func TestFilteredMAC(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	s := newSite(t)
	mac, err := s.gw.MAC("int0")
	if err != nil {
		t.Fatal(err)
	}
	load := s.backend.Command(t.Context(), "nft", "-f", "-")
	load.Stdin = strings.NewReader("table netdev t {\nchain c {\ntype filter hook ingress device \"eth0\" priority 0;\nether saddr != " + mac.String() + " drop;\n}\n}\n")
	if said, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	f, settings := pair()
	e := &examination{settings: settings, machine: wire{f}, links: map[int]links.Link{
		1: {Index: 1, Name: "int0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}},
	}}
	c := settings.VirtualClusters[0]
	c.Addrs[0].Interface, c.Addrs[0].Peers = "int0", []netip.Addr{netip.MustParseAddr("10.0.0.11")}
	s.inside(t, func() { e.checkStranger(t.Context(), "virtual MAC on int0", c, "int0", false) })
	if len(e.findings) != 1 || e.findings[0].Level != Fail || !strings.Contains(e.findings[0].Text, "10.0.0.11 answers the MAC address of int0, but no other one") {
		t.Errorf("%+v", e.findings)
	}
	if said, err := s.backend.Command(t.Context(), "nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	e.findings = nil
	s.inside(t, func() { e.checkStranger(t.Context(), "virtual MAC on int0", c, "int0", false) })
	if len(e.findings) != 1 || e.findings[0].Level != Pass {
		t.Errorf("without the filter: %+v", e.findings)
	}
}

func TestPingByInterface(t *testing.T) {
	s := newSite(t)
	up, down, other := netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("10.0.0.12"), netip.MustParseAddr("192.0.2.9")
	s.inside(t, func() {
		got, err := system{}.Ping(t.Context(), "int0", []netip.Addr{up, down, other})
		if err != nil {
			t.Fatal(err)
		}
		if !got[up].OK || got[up].RTT <= 0 || got[down].OK || got[other].OK {
			t.Errorf("%+v", got)
		}
		if _, err := (system{}).Ping(t.Context(), "int0", nil); err == nil {
			t.Error("nobody was asked without an error")
		}
	})
}

func TestAdvertKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if _, err := (system{}).AdvertKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := (system{}).AdvertKey(dir); err == nil {
		t.Error("a directory is a key")
	}
	for name, c := range map[string]struct {
		text string
		good bool
	}{"good": {strings.Repeat("k", 32) + "\n", true}, "short": {"short\n", false}, "long": {strings.Repeat("k", 5000), false}} {
		if err := os.WriteFile(path, []byte(c.text), 0o640); err != nil {
			t.Fatal(err)
		}
		mode, err := system{}.AdvertKey(path)
		if (err == nil) != c.good || mode.Perm() != 0o640 {
			t.Errorf("%s: %v, %v", name, mode, err)
		}
	}
}

func TestClusterKeyFingerprint(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	if _, _, err := (system{}).ClusterKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no key: %v", err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("one was made: %v", list)
	}
	for _, d := range []string{dir, other} {
		if _, err := clusterkey.LoadOrCreate(d); err != nil {
			t.Fatal(err)
		}
	}
	a, written, err := system{}.ClusterKey(dir)
	if err != nil || len(a) != 12 || time.Since(written) > time.Hour {
		t.Errorf("%q of %v, %v", a, written, err)
	}
	b, _, err := system{}.ClusterKey(other)
	if err != nil || a == b {
		t.Errorf("two keys are both %q, %v", b, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, clusterkey.Name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, clusterkey.Name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, _, err = (system{}).ClusterKey(other); err != nil || a != b {
		t.Errorf("the same key is %q and %q, %v", a, b, err)
	}
}

func TestUrgencyOfAProcess(t *testing.T) {
	u, err := system{}.Urgency(os.Getpid())
	if err != nil || u.Realtime || u.Locked || !strings.Contains(u.Schedule, "normal") {
		t.Errorf("this process: %+v, %v", u, err)
	}
	page := make([]byte, 2*os.Getpagesize())
	if err := unix.Mlock(page); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munlock(page) }()
	if u, err = (system{}).Urgency(os.Getpid()); err != nil || !u.Locked {
		t.Errorf("with locked memory: %+v, %v", u, err)
	}
	if _, err := (system{}).Urgency(1 << 30); err == nil {
		t.Error("a process that is not there is urgent")
	}
}

func TestPlatforms(t *testing.T) {
	for _, c := range []struct{ vendor, product, want string }{
		{"innotek GmbH", "VirtualBox", platformVirtualBox},
		{"Oracle Corporation", "VirtualBox", platformVirtualBox},
		{"Microsoft Corporation", "Virtual Machine", platformHyperV},
		{"Microsoft Corporation", "Surface Laptop", ""},
		{"VMware, Inc.", "VMware Virtual Platform", platformVMware},
		{"VMware, Inc.", "VMware20,1", platformVMware},
		{"Xen", "HVM domU", platformXen},
		{"QEMU", "Standard PC (Q35 + ICH9, 2009)", platformKVM},
		{"Red Hat", "KVM", platformKVM},
		{"OpenStack Foundation", "OpenStack Nova", platformKVM},
		{"Amazon EC2", "m5.large", platformCloud},
		{"Google", "Google Compute Engine", platformCloud},
		{"Dell Inc.", "PowerEdge R740", ""},
		{"", "", ""},
	} {
		sys := t.TempDir()
		dmi := filepath.Join(sys, "class", "dmi", "id")
		if err := os.MkdirAll(dmi, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"sys_vendor": c.vendor, "product_name": c.product} {
			if err := os.WriteFile(filepath.Join(dmi, name), []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := readPlatform(sys); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.vendor, c.product, got, c.want)
		}
	}
	sys := t.TempDir()
	if got := readPlatform(sys); got != "" {
		t.Errorf("no firmware: %q", got)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(sys, "hypervisor"), 0o755), os.WriteFile(filepath.Join(sys, "hypervisor", "type"), []byte("xen\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if got := readPlatform(sys); got != platformXen {
		t.Errorf("Xen without firmware: %q", got)
	}
	hints := map[string]bool{}
	for _, p := range []string{"", platformVirtualBox, platformHyperV, platformVMware, platformXen, platformKVM, platformCloud} {
		hints[allow(p)] = true
		if !strings.Contains(allow(p), "virtual_mac: off") {
			t.Errorf("%q: %q", p, allow(p))
		}
	}
	if len(hints) != 7 {
		t.Errorf("%d hints", len(hints))
	}
}

func TestVirtualRouters(t *testing.T) {
	const text = `# interface eth9
global_defs { router_id a }
vrrp_instance one {
  interface eth0 ! the outer one
  virtual_router_id 51
  virtual_ipaddress {
    192.0.2.3/24 dev eth1
    interface eth5
  }
}
vrrp_instance two { interface "eth1"
  virtual_router_id 52 }
virtual_server 10.0.0.1 22 { virtual_router_id 7 }
vrrp_instance three {
`
	got, more := virtualRouters(text)
	if want := []virtualRouter{{"eth0", 51}, {"eth1", 52}, {}}; !slices.Equal(got, want) || more {
		t.Errorf("%v, %t; want %v", got, more, want)
	}
	if _, more := virtualRouters("include /etc/keepalived/*.conf\n"); !more {
		t.Error("another file is not noticed")
	}
}

func FuzzVirtualRouters(f *testing.F) {
	f.Add("vrrp_instance a { interface b\nvirtual_router_id 1 }")
	f.Add("}}} vrrp_instance interface virtual_router_id")
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := virtualRouters(text)
		if len(list) > strings.Count(text, "vrrp_instance") {
			t.Errorf("%v of %q", list, text)
		}
	})
}

func TestKeepalivedFile(t *testing.T) {
	for want, args := range map[string][]string{
		keepalivedFile: {"keepalived", "-D"}, "/a": {"keepalived", "-D", "-f", "/a"}, "/b": {"keepalived", "-f/b"},
		"/c": {"keepalived", "--use-file=/c", "-D"}, "/d": {"keepalived", "--use-file", "/d"},
	} {
		if got := fileOf(args); got != want {
			t.Errorf("%v: %q", args, got)
		}
	}
	if fileOf(nil) != keepalivedFile || fileOf([]string{"keepalived", "-f"}) != keepalivedFile {
		t.Error("a short command line")
	}
}

// A process of that name is found in its namespace alone, with its settings.
func TestKeepalivedIsFound(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	program := filepath.Join(dir, keepalivedName)
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skip("no /bin/sleep") // the test needs a program that stays
	}
	conf := filepath.Join(dir, "k.conf")
	if err := errors.Join(os.WriteFile(program, sleep, 0o755), os.WriteFile(conf, []byte("vrrp_instance a {\ninterface ext0\nvirtual_router_id 51\n}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := s.gw.Command(t.Context(), program, "600")
	cmd.Args = []string{keepalivedName, "600"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	s.inside(t, func() {
		got, err := system{}.Keepalived()
		if err != nil || len(got) != 1 || got[0].PID != cmd.Process.Pid || got[0].File != keepalivedFile {
			t.Errorf("%+v, %v", got, err)
		}
	})
	if err := s.backend.Do(func() error {
		if got, err := (system{}).Keepalived(); err != nil || len(got) != 0 {
			t.Errorf("in another namespace: %+v, %v", got, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestStrangerFrame(t *testing.T) {
	got := strangerFrame(net.HardwareAddr{2, 0x5e, 0, 0, 0, 1}, netip.MustParseAddr("192.0.2.3"))
	want := slices.Concat(
		[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0x5e, 0, 0, 0, 1, 8, 6},
		[]byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0x5e, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 3})
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}
