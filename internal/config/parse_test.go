package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestParseSmallest takes the smallest file of the design and looks at every
// default.
func TestParseSmallest(t *testing.T) {
	got := mustParse(t, `services: [{listen: "192.0.2.3:22", backends: ["10.0.0.11:22"]}]`)
	want := &Settings{
		Node: Node{
			Name:    "gw-a",
			DataDir: "/var/lib/sluice",
			BPFFS:   "/sys/fs/bpf/sluice",
			Control: Control{Socket: "/run/sluice/control.sock"},
			User:    "sluice",
		},
		Dataplane: Dataplane{
			XDP:      "auto",
			MaxFlows: 262144,
			Lifetimes: Lifetimes{
				Established: 120 * time.Hour,
				HalfClosed:  2 * time.Minute,
				Closed:      10 * time.Second,
				Embryo:      time.Minute,
			},
			Watchdog: time.Minute,
		},
		Guard: Guard{Challenge: "auto"},
		Services: []Service{{
			Name:          "192.0.2.3:22",
			Listen:        netip.MustParseAddrPort("192.0.2.3:22"),
			Mode:          "nat",
			ClientAddress: "hide",
			Select:        "hash",
			Backends: []Backend{{
				Name: "10.0.0.11:22", Addr: netip.MustParseAddrPort("10.0.0.11:22"), Weight: 1,
			}},
			HealthCheck: HealthCheck{Type: "ssh", Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3},
			OnDown:      "keep",
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got.YAML(), want.YAML())
	}
}

func TestParseDefaultsAlone(t *testing.T) {
	got := mustParse(t, "{}")
	if len(got.Services) != 0 || got.Nodes != nil || !reflect.DeepEqual(got.Dataplane, defaults.Dataplane) {
		t.Errorf("got\n%s", got.YAML())
	}
}

// TestParseForms has files that say the same in different ways.
func TestParseForms(t *testing.T) {
	const want = `services: [{listen: "192.0.2.3:22", backends: ["10.0.0.11:22", "10.0.0.12:2022"]}]`
	for name, text := range map[string]string{
		"block":       "services:\n  - listen: 192.0.2.3:22\n    backends:\n      - 10.0.0.11:22\n      - 10.0.0.12:2022\n",
		"no indent":   "services:\n- backends:\n  - 10.0.0.11:22\n  - addr: 10.0.0.12:2022\n  listen: 192.0.2.3:22",
		"no port":     "services: [{listen: 192.0.2.3:22, backends: [10.0.0.11, {addr: 10.0.0.12:2022, weight: 1}]}]",
		"JSON":        `{"services": [{"listen": "192.0.2.3:22", "backends": [{"addr":"10.0.0.11"},"10.0.0.12:2022"]}]}`,
		"with name":   `services: [{name: "192.0.2.3:22", listen: "192.0.2.3:22", backends: [{name: "10.0.0.11:22", addr: "10.0.0.11:22"}, "10.0.0.12:2022"]}]`,
		"Windows":     "---\r\nservices:\r\n- listen: '192.0.2.3:22' # VIP\r\n  backends: [10.0.0.11,\r\n    10.0.0.12:2022]\r\n...\r\n",
		"by variable": "nodes: {gw-a: {vip: 192.0.2.3, p: 22, net: 10.0.0}}\nservices: [{listen: \"${vip}:${p}\", backends: [\"${net}.11\", \"${net}.12:20${p}\"]}]",
	} {
		t.Run(name, func(t *testing.T) {
			got, want := mustParse(t, text), mustParse(t, want)
			got.Nodes = nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got.YAML(), want.YAML())
			}
		})
	}
}

// TestParseModes holds that what means nothing in a mode has no value.
func TestParseModes(t *testing.T) {
	s := mustParse(t, `
services:
  - {listen: "192.0.2.3:22", mode: sshd}
  - {listen: "192.0.2.4:22", mode: dsr, backends: [10.0.0.11]}
  - {listen: "192.0.2.5:22", mode: nat, client_address: keep, backends: [10.0.0.11]}`)
	want := Service{Name: "192.0.2.3:22", Listen: netip.MustParseAddrPort("192.0.2.3:22"), Mode: ModeSSHD}
	if !reflect.DeepEqual(s.Services[0], want) {
		t.Errorf("sshd: got %+v, want %+v", s.Services[0], want)
	}
	if got := s.Services[1].ClientAddress; got != "" {
		t.Errorf("dsr: client_address is %q, want none", got)
	}
	if got := s.Services[2].ClientAddress; got != ClientKeep {
		t.Errorf("nat: client_address is %q, want keep", got)
	}
}

// TestParseNamesOnce holds that a backend named in one service has that name in
// all of them.
func TestParseNamesOnce(t *testing.T) {
	s := mustParse(t, `
services:
  - {listen: "192.0.2.3:22", backends: [10.0.0.11, 10.0.0.12]}
  - {listen: "192.0.2.4:22", backends: [{name: blue, addr: "10.0.0.11:22"}, 10.0.0.12:2022]}`)
	var got []string
	for _, service := range s.Services {
		for _, b := range service.Backends {
			got = append(got, b.Name)
		}
	}
	if diff := cmp.Diff([]string{"blue", "10.0.0.12:22", "blue", "10.0.0.12:2022"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestParseHostname(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text, want string
		opts             []Option
	}{
		{"of the machine", "{}", host, nil},
		{"given", "{}", "gw-c", []Option{Hostname("gw-c")}},
		{"of the file", "node: {name: gw-d}", "gw-d", []Option{Hostname("gw-c")}},
	} {
		s, err := Parse("f.yaml", []byte(tt.text), tt.opts...)
		if err != nil || s.Node.Name != tt.want {
			t.Errorf("%s: got %v, %v, want name %q", tt.name, s, err, tt.want)
		}
	}
	_, err = Parse("f.yaml", []byte("{}"), Hostname("a b"))
	if want := `f.yaml:1:1: node.name: the host name "a b" cannot name the node; set node.name`; err == nil || err.Error() != want {
		t.Errorf("bad host name: got %v, want %s", err, want)
	}
}

// TestParseSelf reads text of another machine.
func TestParseSelf(t *testing.T) {
	self := Node{Name: "gw-b", DataDir: "/srv", User: "nobody"}
	const nodes = "nodes: {gw-a: {xdp: native}, gw-b: {xdp: generic}}\ndataplane: {xdp: '${xdp}'}\n"
	for _, text := range []string{nodes, "node: {name: gw-a}\n" + nodes} {
		s, err := Parse("f.yaml", []byte(text), Self(self), Hostname("a b"))
		if err != nil {
			t.Fatal(err)
		}
		if s.Node != self || s.Dataplane.XDP != XDPGeneric {
			t.Errorf("%s\ngot\n%s", text, s.YAML())
		}
	}
	if _, err := Parse("f.yaml", []byte("node: {name: []}"), Self(self)); err == nil {
		t.Error("a faulty node section is taken because it is of no use")
	}
}

func TestParseNothing(t *testing.T) {
	const want = "f.yaml: has no settings; write {} for all defaults"
	for _, text := range []string{"", "\n\n", "# comment", "---\n", "---\n...\n"} {
		if _, err := Parse("f.yaml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(file, []byte("node: {nam: a}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	if want := file + ":1:8: node.nam: unknown key; did you mean name?"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}

	if err := os.WriteFile(file, []byte("node: {name: a}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(file, Hostname("b")); err != nil || s.Node.Name != "a" {
		t.Errorf("got %v, %v", s, err)
	}

	if err := os.WriteFile(file, []byte("# "+strings.Repeat("x", MaxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(file)
	if want := file + ": is larger than 1048576 bytes; keep settings apart from other data"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v, want fs.ErrNotExist", err)
	}
	var faults *Faults
	if _, err := Load(dir); err == nil || errors.As(err, &faults) {
		t.Errorf("directory: got %v, want an error of package os", err)
	}
}
