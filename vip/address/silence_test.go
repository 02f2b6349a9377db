package address

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// D10, D16: whatever a backup does, no frame of a virtual MAC leaves it, for that
// teaches switches where the VIPs are not. The kernel would send listener
// reports within a second; a lease of its timer says when two have passed.
func TestBackupSendsNothingFromVirtualMAC(t *testing.T) {
	l := newLAN(t)
	for _, round := range []string{"prepared", "after a release"} {
		t.Run(round, func(t *testing.T) {
			s := keep(t, l.gw[0], samplePlan())
			s.do(s.Prepare)
			if round != "prepared" {
				s.do(s.Take, s.Release)
			}
			var captures []func() [][]byte
			for _, vip := range vips {
				captures = append(captures, capture(t, l.sw, "a", VirtualMAC(51, vip)))
			}
			s.do(s.Announce)
			twoSeconds(t, l.gw[0])
			wantNoVIP(t, l.gw[0], samplePlan())
			for _, frames := range captures {
				for _, frame := range frames() {
					t.Errorf("a frame left the backup: %x", frame)
				}
			}
			// The active one does speak, of its own accord, and is heard.
			s.do(s.Take)
			twoSeconds(t, l.gw[0])
			if len(captures[1]()) == 0 {
				t.Error("nothing was heard of the active gateway either: nothing is proved")
			}
		})
	}
}

// Who hears that the VIPs are free takes them at once, while our macvlans may still
// be on their way down.
func TestVacatedSendsNothingFromVirtualMAC(t *testing.T) {
	l := newLAN(t)
	s := keep(t, l.gw[0], samplePlan())
	s.do(s.Prepare, s.Take)
	twoSeconds(t, l.gw[0]) // what the kernel tells at the beginning is told
	s.do(s.Vacate)
	if s.held() {
		t.Error("the VIPs are here")
	}
	var captures []func() [][]byte
	for _, vip := range vips {
		captures = append(captures, capture(t, l.sw, "a", VirtualMAC(51, vip)))
	}
	twoSeconds(t, l.gw[0])
	for _, frames := range captures {
		for _, frame := range frames() {
			t.Errorf("a frame left: %x", frame)
		}
	}
	s.do(s.Release)
	wantNoVIP(t, l.gw[0], samplePlan())
}

// twoSeconds returns when the kernel ended a lease of two seconds.
func twoSeconds(t *testing.T, ns *nettest.Namespace) {
	t.Helper()
	other := netip.MustParseAddr("10.99.0.1")
	ended := expiry(t, ns, other)
	index, err := ns.Index(inside)
	must(t, err)
	must(t, ns.Do(func() error { return lease(index, other, 2) }))
	ended()
}

// expiry subscribes at once; what it returns waits until the address is gone.
func expiry(t *testing.T, ns *nettest.Namespace, addr netip.Addr) (wait func()) {
	t.Helper()
	var socket *nl.NetlinkSocket
	must(t, ns.Do(func() (err error) {
		socket, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
		return err
	}))
	t.Cleanup(socket.Close)
	return func() {
		t.Helper()
		must(t, socket.SetReceiveTimeout(&unix.Timeval{Sec: int64(patience.Seconds())}))
		for {
			messages, _, err := socket.Receive()
			must(t, err)
			for _, m := range messages {
				if a, ok := parseAddr(m.Data); ok && m.Header.Type == unix.RTM_DELADDR && a.prefix.Addr() == addr {
					return
				}
			}
		}
	}
}
