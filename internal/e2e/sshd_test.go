package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/nettest/sshtest"
	"sluice/internal/node"
	"sluice/internal/node/handover"
)

var loopback = map[string]netip.AddrPort{
	"IPv4": netip.MustParseAddrPort("127.0.0.1:0"),
	"IPv6": netip.MustParseAddrPort("[::1]:0"),
}

// TestOwnListener lets the machine's own OpenSSH keep port 22 of every address
// while connections to the VIP reach the listener that was handed over; without
// one they are refused, and never reach OpenSSH.
func TestOwnListener(t *testing.T) {
	w := newWorld(t, shape{mode: "sshd"})
	dir := t.TempDir()
	own, err := sshtest.Start(t.Context(), w.GW, sshtest.ServerOptions{
		Name:  "own",
		Addrs: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:22"), netip.MustParseAddrPort("[::]:22")},
		Dir:   dir,
	})
	must(t, err)
	t.Cleanup(func() { _ = own.Close() })
	w.write(w.node(w.bpffs) + w.dataplane() + fmt.Sprintf(
		"services:\n  - {name: ipv4, listen: \"%s\", mode: sshd}\n  - {name: ipv6, listen: \"%s\", mode: sshd}\n",
		vips["IPv4"], vips["IPv6"]))
	w.start()

	for family, vip := range vips {
		t.Run(family, func(t *testing.T) {
			if _, err := w.banner(t, vip); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("dialling %s without a listener: %v; it must be refused", vip, err)
			}
			w.give(t, strings.ToLower(family), loopback[family])
			if got, err := w.banner(t, vip); err != nil || got != "handed-over" {
				t.Errorf("dialling %s reached %q: %v", vip, got, err)
			}
			at := netip.AddrPortFrom(w.OutsideAddr.Like(vip.Addr()), 22)
			if got, err := w.banner(t, at); err != nil || !strings.HasPrefix(got, "OpenSSH") {
				t.Errorf("dialling the node's own %s reached %q: %v", at, got, err)
			}
		})
	}
	if w.dropped("no_listener") == 0 {
		t.Error("the refused connections were not counted as no_listener")
	}
}

// give hands a listener over whose address has nothing to do with the VIP but
// its family.
func (w *world) give(t *testing.T, service string, at netip.AddrPort) {
	t.Helper()
	l, err := w.GW.Listen(at)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			_, _ = c.Write([]byte("SSH-2.0-handed-over\r\n")) // the client says what it got
			c.Close()
		}
	}()
	f, err := l.(*net.TCPListener).File()
	must(t, err)
	defer f.Close()
	must(t, handover.Give(t.Context(), node.ListenersSocket(w.socket()), service, f))
}

// banner dials as the client and returns how the server identifies itself.
func (w *world) banner(t *testing.T, addr netip.AddrPort) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var conn net.Conn
	conn, err := w.Client.Dial(ctx, addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return sshtest.ReadBanner(conn, patience)
}
