package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/nettest"
)

// The file that the lab writes is one that sluice reads, and says what the
// command line asked for.
func TestSettings(t *testing.T) {
	needs(t)
	network := nettest.GatewayForTest(t, nettest.GatewayOptions{Backends: 2})
	// What a dsr backend sees is no matter of choice.
	for _, mode := range []struct{ mode, client, want string }{
		{"nat", "hide", "hide"}, {"nat", "keep", "keep"}, {"dsr", "hide", ""},
	} {
		t.Run(mode.mode+" "+mode.client, func(t *testing.T) {
			dir := t.TempDir()
			l := &lab{
				options: options{name: "lab", mode: mode.mode, clientAddress: mode.client, sluice: "/bin/sluice"},
				network: network, site: &site{dir: dir},
			}
			path, err := l.writeSettings()
			if err != nil {
				t.Fatal(err)
			}
			s, err := config.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if s.Node.Name != "lab-gw" || s.Node.Control.Socket != filepath.Join(dir, "control.sock") || s.Node.BPFFS != filepath.Join(dir, "bpffs") {
				t.Errorf("the node is %+v", s.Node)
			}
			if diff := cmp.Diff([]string{"ext0", "int0"}, s.Dataplane.Interfaces); diff != "" {
				t.Errorf("interfaces differ (-want +got):\n%s", diff)
			}
			var got []string
			for _, v := range s.Services {
				if string(v.Mode) != mode.mode || string(v.ClientAddress) != mode.want {
					t.Errorf("service %s is %s, %s", v.Name, v.Mode, v.ClientAddress)
				}
				for _, b := range v.Backends {
					got = append(got, v.Name+" "+v.Listen.String()+" "+b.Name+" "+b.Addr.String())
				}
			}
			want := []string{
				"login 192.0.2.3:22 b1 10.0.0.11:22", "login 192.0.2.3:22 b2 10.0.0.12:22",
				"login-v6 [2001:db8:1::3]:22 b1-v6 [2001:db8:2::11]:22", "login-v6 [2001:db8:1::3]:22 b2-v6 [2001:db8:2::12]:22",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("services differ (-want +got):\n%s", diff)
			}
		})
	}
	l := &lab{network: network, site: &site{dir: "/no/such/directory"}}
	_, err := l.writeSettings()
	wantError(t, err, "write settings", "/no/such/directory")
}

// The comments of the file are meant to be pasted.
func TestSettingsNameTheLab(t *testing.T) {
	needs(t)
	dir := t.TempDir()
	l := &lab{
		options: options{name: "lab7", mode: "nat", clientAddress: "hide", sluice: "/opt/sluice"},
		network: nettest.GatewayForTest(t, nettest.GatewayOptions{Backends: 1}), site: &site{dir: dir},
	}
	path, err := l.writeSettings()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"/opt/sluice --socket " + dir + "/control.sock settings apply " + dir + "/sluice.yaml",
		"ip netns exec lab7-gw curl",
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the file lacks %q:\n%s", line, text)
		}
	}
}
