package nettest

import (
	"os"
	"testing"
)

func TestSysctl(t *testing.T) {
	const key = "net/ipv4/ip_default_ttl"
	before, err := os.ReadFile("/proc/sys/" + key)
	if err != nil {
		t.Fatal(err)
	}
	n := ForTest(t)
	if err := n.SetSysctl(key, "77"); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Sysctl(key); err != nil || got != "77" {
		t.Errorf("it is %q (%v), want 77", got, err)
	}
	if after, err := os.ReadFile("/proc/sys/" + key); err != nil || string(after) != string(before) {
		t.Errorf("the host's changed from %q to %q (%v)", before, after, err)
	}
	_, err = n.Sysctl("net/no/such")
	wantError(t, err, `"net/no/such"`, n.Name())
	wantError(t, n.SetSysctl(key, "none"), key, n.Name())
}

func TestSysctlRefusesTheHostsKeys(t *testing.T) {
	for _, key := range []string{
		"", "kernel/panic", "vm/overcommit_memory", "/net/ipv4/ip_forward", "net.ipv4.ip_forward",
		"net/../kernel/panic", "net/ipv4/../../kernel/panic", "../sys/net/ipv4/ip_forward", "net/",
	} {
		t.Run(key, func(t *testing.T) {
			n := &Namespace{}
			_, err := n.Sysctl(key)
			wantError(t, err, "belong to a namespace")
			wantError(t, n.SetSysctl(key, "1"), "belong to a namespace")
		})
	}
}

func TestNewIsCalm(t *testing.T) {
	n := ForTest(t)
	for _, key := range []string{
		"net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/default/rp_filter",
		"net/ipv6/conf/default/accept_dad", "net/ipv6/conf/default/disable_ipv6",
	} {
		if got, err := n.Sysctl(key); err != nil || got != "0" {
			t.Errorf("%s is %q (%v), want 0", key, got, err)
		}
	}
}
