package node

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/nettest"
	"sluice/steering/health"
)

// TestProbe dials what the settings name, and tells a server that does not read
// PROXY headers from one that is well.
func TestProbe(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nettest.AcceptForTest(t, l, func(c net.Conn) {
		// As OpenSSH does: its name first, and then no for an answer.
		_, _ = io.WriteString(c, "SSH-2.0-test\r\n")
		_, _ = c.Read(make([]byte, 6))
		_, _ = io.WriteString(c, "Invalid SSH identification string.\r\n")
		c.Close()
	})
	backend := config.Backend{Name: "b", Addr: netip.MustParseAddrPort(l.Addr().String())}
	check := config.HealthCheck{Type: config.HealthCheckSSH, Timeout: 2 * time.Second}
	service := func(name string, change func(*config.Service)) config.Service {
		s := config.Service{
			Name: name, Listen: netip.MustParseAddrPort("192.0.2.3:22"), Mode: config.ModeNAT,
			ClientAddress: config.ClientHide, Backends: []config.Backend{backend}, HealthCheck: check,
		}
		change(&s)
		return s
	}
	s := &config.Settings{Services: []config.Service{
		service("hide", func(*config.Service) {}),
		service("proxy", func(s *config.Service) { s.ClientAddress = config.ClientProxyV2 }),
		service("dsr", func(s *config.Service) { s.Mode, s.ClientAddress = config.ModeDSR, "" }),
		service("off", func(s *config.Service) { s.HealthCheck.Type = config.HealthCheckOff }),
	}}
	got := Probe(t.Context(), s)
	if len(got) != 4 {
		t.Fatalf("%d backends were looked at, want 4", len(got))
	}
	if p := got[0]; p.Err != nil || p.Found != "SSH-2.0-test" {
		t.Errorf("hide: %+v", p)
	}
	if p := got[1]; !errors.Is(p.Err, health.ErrNoProxy) {
		t.Errorf("proxy_v2: %+v", p)
	}
	for _, p := range got[2:] {
		if !p.Skipped || p.Err != nil || !strings.Contains(p.Found, "not dialled") {
			t.Errorf("%s: %+v", p.Service, p)
		}
	}
}
