package failover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// variant is how a pair of sluice and keepalived speaks VRRP.
type variant struct {
	version       int
	family        int
	vmac, unicast bool   // vmac is theirs
	xmitBase      bool   // vmac_xmit_base, beside vmac
	mac           string // ours: off or auto
	checksum      string
	local         string // what their IPv6 list begins with
}

func (v variant) of(p nettest.Pair) netip.Addr {
	if v.family == 6 {
		return p.V6
	}
	return p.V4
}

// vip is that of an interface, with the length of its network's prefix.
func (v variant) vip(all *gateways, link string) netip.Prefix {
	p := all.VIP
	if link == nettest.InsideLink {
		p = all.InsideVIP
	}
	bits := 24
	if v.family == 6 {
		bits = 64
	}
	return netip.PrefixFrom(v.of(p), bits)
}

// theirVIPs are those of an instance of keepalived, which wants a link-local
// address first.
func (v variant) theirVIPs(all *gateways, link string) []string {
	list := []string{v.vip(all, link).String()}
	if v.family == 6 {
		list = append([]string{v.local}, list...)
	}
	return list
}

// settings are ours, without node and nodes.
func (v variant) settings(all *gateways, ours, theirs int) string {
	checksum := ""
	if v.checksum != "" {
		checksum = "checksum: " + v.checksum
	}
	return fmt.Sprintf(`
dataplane: {interfaces: [ext0, int0]}
virtual_clusters:
  - name: edge
    vrid: 51
    version: %d
    priority: {gw-a: %d, gw-b: %d}
    preempt: true
    virtual_mac: "%s"
    unicast: %v
    %s
    addrs: [{interface: ext0, addr: "${ext_addr}"}, {interface: int0, addr: "${int_addr}"}]
    vips: [{addr: "%s", interface: ext0}, {addr: "%s", interface: int0}]
services:
  - name: login
    listen: "%s"
    source_pool: ["%s"]
    backends: ["%s"]
    health_check: {type: off}
`, v.version, ours, theirs, v.mac, v.unicast, checksum, v.vip(all, nettest.OutsideLink), v.vip(all, nettest.InsideLink),
		netip.AddrPortFrom(v.of(all.VIP), 22), v.of(all.InsideVIP), netip.AddrPortFrom(v.of(all.Backends[0].Addr), 22))
}

// mixed is a pair of sluice and keepalived.
type mixed struct {
	*gateways
	variant
	ours   *gateway
	theirs *keepalived
}

func newMixed(t *testing.T, v variant) *mixed {
	nettest.Require(t, nettest.Program("keepalived"), nettest.Program("ping"))
	all := newGateways(t, nettest.ClusterOptions{Backends: 1}, "")
	return &mixed{all, v, all.each[0], newKeepalived(all.each[1], 100)}
}

// launch starts ours with a priority.
func (m *mixed) launch(priority int) {
	m.t.Helper()
	m.gateways.settings = m.variant.settings(m.gateways, priority, m.theirs.priority)
	m.ours.launch()
}

// active waits until one side alone has all VIPs, and is reached by them.
func (m *mixed) active(ours bool, causes ...string) control.VirtualCluster {
	m.t.Helper()
	var c control.VirtualCluster
	m.eventually(fmt.Sprintf("ours is active: %v, because of %v", ours, causes), func() error {
		for _, link := range []string{nettest.OutsideLink, nettest.InsideLink} {
			addr := m.vip(m.gateways, link).Addr()
			// Without power there may be one on an interface without a cable.
			mine, other := m.ours.has(addr) && !m.ours.Off(), m.theirs.has(addr) && !m.theirs.Off()
			if mine != ours || other == ours {
				return fmt.Errorf("%s is on ours: %v, on theirs: %v", addr, mine, other)
			}
		}
		if m.ours.cmd != nil {
			var err error
			if c, err = m.ours.cluster(); err != nil {
				return err
			}
			if (c.State == control.VIPActive) != ours {
				return fmt.Errorf("ours is %s: %s", c.State, c.Reason)
			}
			if len(causes) > 0 && !slices.Contains(causes, c.Cause) {
				return fmt.Errorf("the cause is %q: %s", c.Cause, c.Reason)
			}
		}
		return m.reached()
	})
	return c
}

// reached says whether the client gets answers from the VIP.
func (m *mixed) reached() error {
	if out, err := m.Client.Command(context.Background(), "ping", "-c", "1", "-W", "1", m.of(m.VIP).String()).CombinedOutput(); err != nil {
		return fmt.Errorf("ping the VIP: %v: %s", err, out)
	}
	return nil
}

// powerOff takes ours from the socket, and back to it.
func (m *mixed) powerOff() (restore func()) {
	m.t.Helper()
	must(m.t, m.ours.PowerOff())
	<-m.ours.ended
	m.ours.cmd = nil
	return func() {
		m.t.Helper()
		must(m.t, errors.Join(os.RemoveAll(filepath.Join(m.ours.bpffs, "sluice")), m.ours.Restore()))
	}
}

// F22: sluice and keepalived elect one of them, whatever they speak, whoever goes,
// and however it goes.
func TestMixedPair(t *testing.T) {
	for _, c := range []struct {
		name string
		variant
		full bool
	}{
		{"v3", variant{version: 3, family: 4, mac: "off"}, false},
		{"v3 virtual MAC", variant{version: 3, family: 4, vmac: true, mac: "auto"}, true},
		{"v3 virtual MAC of ours", variant{version: 3, family: 4, mac: "auto"}, true},
		{"v3 virtual MAC of theirs", variant{version: 3, family: 4, vmac: true, mac: "off"}, true},
		{"v3 unicast", variant{version: 3, family: 4, unicast: true, mac: "off"}, true},
		{"v2", variant{version: 2, family: 4, mac: "off"}, true},
		{"v2 virtual MAC", variant{version: 2, family: 4, vmac: true, mac: "auto"}, true},
		{"IPv6", variant{version: 3, family: 6, mac: "off", local: ourLocal}, true},
		{"IPv6 virtual MAC", variant{version: 3, family: 6, vmac: true, mac: "auto", local: "fe80::3"}, false},
	} {
		if c.full && os.Getenv("SLUICE_TEST_FULL") == "" {
			continue // one of each family is enough for every day
		}
		t.Run(c.name, func(t *testing.T) {
			m := newMixed(t, c.variant)
			m.oursHigher()
			m.theirsHigher()
		})
	}
}

// ourLocal is what the virtual MAC of VRID 51 makes.
const ourLocal = "fe80::200:5eff:fe00:233"

const resigned = "Backup received priority 0 advertisement"

// oursHigher: ours takes the role, gives it, takes it back, loses it.
func (m *mixed) oursHigher() {
	m.t.Helper()
	m.theirs.start(m.variant)
	m.active(false)
	m.launch(150)
	m.active(true, "preempt")
	// Told, theirs waits for the skew alone.
	before := m.theirs.count(resigned)
	m.ours.stop()
	m.active(false)
	if m.theirs.count(resigned) == before {
		m.t.Error("keepalived did not hear that ours resigned")
	}
	m.launch(150)
	m.active(true, "preempt")
	before = m.theirs.count(resigned)
	restore := m.powerOff()
	m.active(false)
	if m.theirs.count(resigned) != before {
		m.t.Error("a gateway without power resigned")
	}
	restore()
	m.launch(150)
	m.active(true, "preempt")
}

// theirsHigher: theirs takes the role by its priority, gives it, takes it back and
// loses it; then ours takes it by its priority.
func (m *mixed) theirsHigher() {
	m.t.Helper()
	m.theirs.priority = 200
	m.theirs.reload(m.variant)
	m.active(false, "higher_advert")
	m.theirs.stop()
	m.active(true, "role_free") // within the skew, not at the end of silence
	m.theirs.start(m.variant)
	m.active(false, "higher_advert")
	must(m.t, m.theirs.PowerOff())
	m.theirs.stop()
	m.active(true, "active_silent")
	must(m.t, m.theirs.Restore())
	m.theirs.start(m.variant)
	m.active(false, "higher_advert")
	m.gateways.settings = m.variant.settings(m.gateways, 250, 200)
	m.ours.write()
	must(m.t, m.ours.cmd.Process.Signal(syscall.SIGHUP))
	m.active(true, "preempt")
}

// F22: whose checksum keepalived does not take is shown where it can be set right.
func TestOtherChecksum(t *testing.T) {
	m := newMixed(t, variant{version: 3, family: 4, mac: "off", checksum: "plain"})
	m.theirs.start(m.variant)
	m.active(false)
	m.launch(150)
	m.eventually("both refuse or count the other's checksum", func() error {
		c, err := m.ours.cluster()
		if err != nil {
			return err
		}
		if n := m.theirs.count("Invalid VRRPv3 checksum"); n == 0 {
			return errors.New("keepalived took our checksum")
		}
		if n := c.Segments[0].OtherChecksum; n == 0 || c.Segments[0].Refused["bad_checksum"] != 0 {
			return fmt.Errorf("%d were of the other kind, refused: %v", n, c.Segments[0].Refused)
		}
		return alarmed(c, "checksum", "claim_unanswered")
	})
	m.active(false)
	m.variant.checksum = "pseudo_header"
	m.gateways.settings = m.variant.settings(m.gateways, 150, 100)
	m.ours.write()
	must(t, m.ours.cmd.Process.Signal(syscall.SIGHUP))
	if c := m.active(true, "preempt"); alarmed(c, "checksum") == nil {
		t.Errorf("there is still an alarm: %v", c.Alarms)
	}
}

// F22: keepalived that sends past its virtual interface hears nobody who has its
// virtual MAC, and everybody else. That it heeds nothing is an alarm.
func TestXmitBase(t *testing.T) {
	m := newMixed(t, variant{version: 3, family: 4, vmac: true, xmitBase: true, mac: "auto"})
	m.theirs.start(m.variant)
	m.active(false)
	m.launch(150)
	m.eventually("ours is not heeded", func() error {
		c, err := m.ours.cluster()
		if err != nil {
			return err
		}
		return alarmed(c, "claim_unanswered")
	})
	m.active(false)
	m.variant.mac = "off"
	m.gateways.settings = m.variant.settings(m.gateways, 150, 100)
	m.ours.write()
	must(t, m.ours.cmd.Process.Signal(syscall.SIGHUP))
	m.active(true, "preempt")
	if !strings.Contains(m.theirs.said(), "Master received advert from") {
		t.Error("keepalived did not give way because of our adverts")
	}
}

// alarmed says which of these alarms is not up.
func alarmed(c control.VirtualCluster, names ...string) error {
	for _, name := range names {
		if !slices.ContainsFunc(c.Alarms, func(a control.ClusterAlarm) bool { return a.Name == name }) {
			return fmt.Errorf("no alarm %s, but %+v", name, c.Alarms)
		}
	}
	return nil
}

// keepalived refuses a list that begins with another link-local address than its own.
// It takes the role then, ours hears from it what to say, and keeps the role.
func TestOtherLinkLocal(t *testing.T) {
	m := newMixed(t, variant{version: 3, family: 6, vmac: true, mac: "auto", local: "fe80::3"})
	m.launch(150)
	m.active(true)
	m.theirs.start(m.variant)
	m.eventually("keepalived takes the role, and gives it back", func() error {
		// Whichever interface hears ours first takes the other one along.
		if said := m.theirs.said(); !strings.Contains(said, "Entering MASTER STATE") || !strings.Contains(said, "Master received advert from") {
			return errors.New("it has not")
		}
		return nil
	})
	m.active(true)
}
