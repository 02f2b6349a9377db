package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/config"
	"sluice/internal/nettest"
)

// playDoctor prints what the doctor finds, one line each.
func playDoctor(file string) error {
	s, err := config.Load(file)
	if err != nil {
		return err
	}
	for _, f := range Doctor(context.Background(), s) {
		fmt.Printf("%s|%s|%s|%s\n", f.Level, f.Subject, f.Text, f.Hint)
	}
	return nil
}

// examine runs the doctor on the gateway.
func (r *rig) examine(t *testing.T) []string {
	t.Helper()
	out, err := r.GW.Command(t.Context(), "/proc/self/exe", "doctor", r.file()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// said fails the test unless a line begins with level and subject and holds the
// text.
func said(t *testing.T, lines []string, level, subject, text string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, level+"|"+subject+"|") && strings.Contains(line, text)
	}) {
		t.Errorf("no %s about %s with %q in\n%s", level, subject, text, strings.Join(lines, "\n"))
	}
}

// The doctor on a real gateway: content before the start, content while it
// runs, and finding what was broken on purpose.
func TestDoctorOnAGateway(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{Backends: 2})
	r.write(r.settings(r.login(0, 1)))
	lines := r.examine(t)
	said(t, lines, "warn", "node", "no node answers")
	for _, line := range lines {
		if strings.HasPrefix(line, "fail|") {
			t.Errorf("before the start: %s", line)
		}
	}

	s := r.start()
	r.up(2)
	lines = r.examine(t)
	said(t, lines, "pass", "node", "gw-a runs generation 1")
	said(t, lines, "pass", "capabilities", "cap_net_admin,cap_net_raw,cap_perfmon,cap_bpf and can get no others")
	said(t, lines, "pass", "interface ext0", "carries our program, native")
	said(t, lines, "pass", "VIP 192.0.2.3", "is an address of ext0")
	said(t, lines, "pass", "backend b1", "accepts connections")
	said(t, lines, "pass", "forwarding int0", "IPv4 forwarding is on")
	for _, line := range lines {
		if strings.HasPrefix(line, "fail|") {
			t.Errorf("while it runs: %s", line)
		}
	}

	// Three things break.
	if err := r.GW.SetSysctl("net/ipv4/conf/int0/forwarding", "0"); err != nil {
		t.Fatal(err)
	}
	if err := r.servers[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.GW.DelAddr(nettest.OutsideLink, netip.PrefixFrom(r.vip().Addr(), 32)); err != nil {
		t.Fatal(err)
	}
	r.up(1)
	lines = r.examine(t)
	said(t, lines, "fail", "forwarding int0", "IPv4 forwarding is off")
	said(t, lines, "fail", "backend b2", "refuses connections")
	said(t, lines, "fail", "backend b2", "down by its health check")
	said(t, lines, "fail", "VIP 192.0.2.3", "ip address add 192.0.2.3/32 dev ext0")
	s.signal(syscall.SIGTERM)
	s.ended()
}
