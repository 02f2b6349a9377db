package failover

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// row is one of the checklist K1 to K31: what tests it, or why nothing does.
type row struct {
	number int
	item   string
	tests  []string // "folder TestName", folders from the root
	refuse string
}

// here is this package.
const here = "internal/e2e/failover "

var rows = []row{
	{1, "hot-standby pair", []string{here + "TestK01HotStandby", here + "TestF01PowerOff"}, ""},
	{2, "blackout of seconds at the most", []string{here + "TestK02Blackout", "vip/election TestPowerOff"}, ""},
	{3, "what hypervisors need", []string{here + "TestK03WithoutVirtualMAC"}, ""},
	{4, "same networks on both", []string{"internal/config TestK4SameInterfaces"}, ""},
	{5, "three addresses per network", []string{"internal/config TestK5ThreeAddresses"}, ""},
	{6, "heartbeat link", []string{here + "TestK06Heartbeat", here + "TestF08HeartbeatCut"}, ""},
	{7, "peer address by the last bit", []string{"internal/config TestK7PeerByLastBit"}, ""},
	{8, "one file for all nodes", []string{"internal/config TestK8OneFileForAllNodes"}, ""},
	{9, "apply to remote hosts", nil, "settings reach other nodes by replication, which is not there yet; until then each node is given the file and applies it by itself"},
	{10, "variables of nodes", []string{"internal/config TestK10K11K27Sample", "internal/config TestVariables"}, ""},
	{11, "the two systems of the example", []string{"internal/config TestK10K11K27Sample"}, ""},
	{12, "one fault moves all networks", []string{here + "TestK12OneInterface", here + "TestF05Cable"}, ""},
	{13, "pings on all networks", []string{here + "TestK13Pings", "vip/ping TestOtherInterfaces"}, ""},
	{14, "all hosts of an item must fail", []string{here + "TestK14AllMustFail", here + "TestF11PingItems"}, ""},
	{15, "targets that are always up", []string{"internal/config TestK15PingTargets"}, ""},
	{16, "the physical interface is not touched", []string{here + "TestK16K17PhysicalInterface", "vip/address TestPhysicalAddressesAreNeverTouched"}, ""},
	{17, "a VIP is bound to a physical interface", []string{here + "TestK16K17PhysicalInterface", "vip/address TestWatchCarrier"}, ""},
	{18, "the same MAC on both", []string{here + "TestK18K19SameMAC"}, ""},
	{19, "switches learn where the MAC is", []string{here + "TestK18K19SameMAC"}, ""},
	{20, "several virtual clusters", []string{here + "TestK20SeveralClusters"}, ""},
	{21, "VIPs in a group", []string{here + "TestK21Group"}, ""},
	{22, "values of each node", []string{here + "TestK22PerNode", here + "TestF12EqualPriorities", "internal/config TestK22EqualPriorities"}, ""},
	{23, "preemptive or not", []string{here + "TestK23Preemptive", here + "TestF20Preempt"}, ""},
	{24, "proxies listen on the virtual interface", []string{here + "TestK24FreeBind", here + "TestF04ServiceDies"}, ""},
	{25, "packet rules on the virtual interface, NAT on the physical", nil, "no packet rules are made: steering and the guard are decided in XDP by address on the physical interface, rules of the machine's own firewall stay the administrator's"},
	{26, "administration reaches both", []string{here + "TestK26Administration"}, ""},
	{27, "a sample is shipped", []string{here + "TestK27Sample", "internal/config TestK10K11K27Sample"}, ""},
	{28, "one console for several nodes", nil, "belongs to replication, which carries orders to other nodes; orders are given on each node until then"},
	{29, "one key pair for mutual proof", nil, "belongs to replication's enrolment; gateways share one cluster key, placed by hand until then"},
	{30, "key pairs per daemon and system", nil, "belongs to replication's enrolment"},
	{31, "settings are replicated when applied", nil, "belongs to replication; settings that differ between gateways raise an alarm (" + here + "TestF19Reload)"},
}

// TestRows: no row is missing, and what is said to test one is there.
func TestRows(t *testing.T) {
	for i, r := range rows {
		if r.number != i+1 {
			t.Errorf("row %d is in the place of K%d", r.number, i+1)
		}
		if (len(r.tests) == 0) == (r.refuse == "") {
			t.Errorf("K%d needs tests or the reason for none, not both", r.number)
		}
		for _, name := range r.tests {
			if !exists(t, name) {
				t.Errorf("K%d: there is no %s", r.number, name)
			}
		}
	}
	if len(rows) != 31 {
		t.Errorf("%d rows, want 31", len(rows))
	}
}

var testName = regexp.MustCompile(`^(\S+) (Test\w+)$`)

// exists looks for a test in the sources.
func exists(t *testing.T, name string) bool {
	t.Helper()
	parts := testName.FindStringSubmatch(name)
	if parts == nil {
		return false
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "..", filepath.FromSlash(parts[1]), "*_test.go"))
	must(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		must(t, err)
		return regexp.MustCompile(`(?m)^func ` + parts[2] + `\(`).Match(text)
	})
}
