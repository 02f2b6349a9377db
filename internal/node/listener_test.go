package node

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
	"sluice/internal/node/handover"
)

// A process gives its listener for a service in mode sshd: connections to the
// VIP reach it, although it is bound elsewhere and the port of the VIP is
// another server's.
func TestListenerIsHandedOver(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{Backends: 1})
	r.write(r.settings(fmt.Sprintf("services:\n  - {name: own, listen: %q, mode: sshd}\n  - {name: other, listen: %q, backends: [%q]}\n",
		r.vip(), netip.AddrPortFrom(r.vip().Addr(), 2022), r.backend(0))))
	r.start()
	r.status("node", func(s control.Status) bool { return s.PID != 0 })
	everywhere := nettest.ServeForTest(t, r.GW, netip.MustParseAddrPort("0.0.0.0:22"), nettest.ServerOptions{Banner: "SSH-2.0-xx\r\n"})
	l, err := r.GW.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	socket := ListenersSocket(filepath.Join(r.base, "run", "control.sock"))
	for name, want := range map[string]string{"nobody": "none of that name", "other": "not in mode sshd"} {
		if err := handover.Give(t.Context(), socket, name, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("give to %s = %v", name, err)
		}
	}
	if err := handover.Give(t.Context(), socket, "own", f); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			accepted <- err.Error()
			return
		}
		accepted <- conn.LocalAddr().String()
		_ = conn.Close()
	}()
	conn, err := r.Client.Dial(t.Context(), r.vip())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := <-accepted; got != r.vip().String() {
		t.Errorf("the connection to the VIP is one to %s", got)
	}
	if everywhere.Accepted() != 0 {
		t.Error("it reached the server of the whole machine")
	}
}
