package address

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// killed runs a gateway that holds the VIPs and is killed.
func killed(t *testing.T, n *nettest.Namespace, args ...string) {
	t.Helper()
	cmd := n.Command(context.Background(), "/proc/self/exe", append([]string{"hold"}, args...)...)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil || string(line) != "held\n" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	must(t, cmd.Process.Kill())
	if _, ok := cmd.Wait().(*exec.ExitError); !ok {
		t.Fatal("the process was not killed")
	}
}

// F2, F18: what a killed process held without a lease is swept by the next one's
// Prepare, or goes on by its Adopt.
func TestAfterAKill(t *testing.T) {
	for name, plan := range plans {
		var args []string
		if name != "virtual MAC" {
			args = []string{"bare"}
		}
		t.Run(name+", swept", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			s := keep(t, n, plan())
			if !s.held() {
				t.Fatal("the killed process left nothing: nothing is proved")
			}
			s.do(s.Prepare)
			wantNoVIP(t, n, plan())
		})
		t.Run(name+", adopted", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			before := see(t, n)
			s := keep(t, n, plan())
			var socket = changes(t, n)
			must(t, n.Do(func() error {
				repaired, err := s.Adopt()
				if len(repaired) > 0 {
					t.Errorf("adopted by repairing %q", repaired)
				}
				// What comes after a split must be told by who was started again, too.
				return errors.Join(err, s.Announce(), s.Announce())
			}))
			if removed := socket(); removed > 0 {
				t.Errorf("%d addresses were gone for a moment", removed)
			}
			if after := see(t, n); !s.held() || len(after.addrs) != len(before.addrs) {
				t.Errorf("held: %v", s.held())
			}
		})
		t.Run(name+", on another interface", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			moved := plan()
			for i := range moved.VIPs {
				moved.VIPs[i].Interface = inside
			}
			s := keep(t, n, moved)
			s.do(s.Prepare)
			wantNoVIP(t, n, moved)
			s.do(s.Take)
			if sc := see(t, n); !s.held() || sc.has(mustIndex(t, n, outside), vip4.Addr()) {
				t.Errorf("held: %v; %v", s.held(), sc.addrs)
			}
		})
		t.Run(name+", another plan", func(t *testing.T) {
			n := gateway(t)
			killed(t, n, args...)
			host := openHost(t, n)
			other := plan()
			other.Cluster, other.VRID = "other", 52
			for i := range other.VIPs {
				if other.VIPs[i].MAC != nil {
					other.VIPs[i].MAC = VirtualMAC(52, other.VIPs[i].Addr.Addr())
				}
				other.VIPs[i].Addr = netip.PrefixFrom(other.VIPs[i].Addr.Addr().Next(), other.VIPs[i].Addr.Bits())
			}
			s := keepOf(t, n, host, other)
			s.do(s.Prepare, s.Take)
			must(t, n.Do(func() error {
				swept, err := host.Sweep()
				if len(swept) != 2 {
					t.Errorf("swept %q, want two", swept)
				}
				return err
			}))
			wantNoVIP(t, n, plan())
			if !s.held() {
				t.Error("it swept what a set has")
			}
		})
	}
}

// changes counts addresses that are removed until it is called.
func changes(t *testing.T, n *nettest.Namespace) func() int {
	t.Helper()
	fd := -1
	must(t, n.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1)})
		}
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() (removed int) {
		b := make([]byte, 1<<16)
		for {
			got, err := unix.Read(fd, b)
			if err != nil {
				return removed
			}
			messages, err := syscall.ParseNetlinkMessage(b[:got])
			must(t, err)
			for _, m := range messages {
				if m.Header.Type == unix.RTM_DELADDR {
					removed++
				}
			}
		}
	}
}
