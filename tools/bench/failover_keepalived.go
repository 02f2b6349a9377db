package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"sluice/internal/nettest"
)

// keepalived is Debian's, with HAProxy behind it to have connections carried at
// all: both are what one would install.
type keepalived struct {
	// vmac has it use the virtual MAC of RFC 9568 on an interface of its own.
	vmac bool
}

func (k keepalived) name() string {
	if k.vmac {
		return keepalivedName + " vmac"
	}
	return keepalivedName
}

const keepalivedName = "keepalived"

func (keepalived) relay() string   { return "haproxy" }
func (keepalived) needs() []string { return []string{"keepalived", "haproxy", "ping"} }

// keepalivedFile is fair to it: the two VIPs move as one, both interfaces are
// tracked, and the router outside is pinged as often as its checks allow.
var keepalivedFile = template.Must(template.New("keepalived").Parse(`global_defs {
  router_id {{.Label}}
  enable_script_security
  script_user root
}
vrrp_script outside {
  script "{{.Ping}} -c 1 -W 1 -I ext0 {{.Outside}}"
  interval 1
  timeout 1
  fall 2
  rise 2
}
vrrp_sync_group edge {
  group { {{- range .Instances}} {{.Interface}}{{end}} }
}
{{range .Instances}}
vrrp_instance {{.Interface}} {
  state {{$.State}}
  version 3
  interface {{.Interface}}
  virtual_router_id {{.ID}}
  priority {{$.Priority}}
  advert_int {{$.Interval}}
{{- if $.VMAC}}
  use_vmac vrrp.{{.ID}}
{{- end}}
  track_interface { {{- range $.Instances}} {{.Interface}}{{end}} }
  track_script { outside }
  virtual_ipaddress { {{.VIP}} }
}
{{end}}`))

// instance is one VRRP instance of the file.
type instance struct {
	Interface, VIP string
	ID             int
}

func (k keepalived) settings(s *side) (string, error) {
	ping, err := nettest.FindProgram("ping")
	if err != nil {
		return "", err
	}
	state := "BACKUP"
	if s.number == 0 {
		state = "MASTER"
	}
	c := s.trial.cluster
	var text strings.Builder
	err = keepalivedFile.Execute(&text, map[string]any{
		"Label": s.Label, "State": state, "Priority": s.priority(), "VMAC": k.vmac, "Ping": ping, "Outside": c.Beyond.V4,
		"Interval": s.trial.interval.Seconds(),
		"Instances": []instance{
			{nettest.OutsideLink, c.VIP.V4.String() + "/24", 51},
			{nettest.InsideLink, c.InsideVIP.V4.String() + "/24", 52},
		},
	})
	if err != nil {
		return "", err
	}
	return s.write("keepalived.conf", text.String())
}

func (k keepalived) start(ctx context.Context, s *side) error {
	if err := startRelay(s); err != nil {
		return err
	}
	file, err := k.settings(s)
	if err != nil {
		return err
	}
	pid := func(name string) string { return filepath.Join(s.dir, name+".pid") }
	log := filepath.Join(s.dir, "keepalived.log")
	// Killed, it leaves its numbers behind, and would find them in use by what
	// process 1 has not cleared yet.
	for _, old := range []string{log, pid("keepalived"), pid("vrrp")} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	p, err := s.run("keepalived", "--dont-fork", "--log-console", "--no-syslog", "--vrrp", "--use-file", file,
		"--pid", pid("keepalived"), "--vrrp_pid", pid("vrrp"))
	if err != nil {
		return err
	}
	// It says "Entering MASTER STATE" or "Entering BACKUP STATE" of each instance.
	return until(ctx, readyWithin, func() error {
		said, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if n := bytes.Count(said, []byte(") Entering ")); n < 2 {
			return fmt.Errorf("keepalived on %s has entered %d states of 2; it said: %s", s.Label, n, p.said())
		}
		return nil
	})
}

// readyWithin is how long a contender may take to start.
const readyWithin = 30 * time.Second

// startRelay starts HAProxy, which listens on the VIP whoever has it.
func startRelay(s *side) error {
	if s.running("haproxy") {
		return nil
	}
	if err := s.SetSysctl("net/ipv4/ip_nonlocal_bind", "1"); err != nil {
		return err
	}
	var servers strings.Builder
	for _, b := range s.trial.cluster.Backends {
		fmt.Fprintf(&servers, "  server %s %s:%d\n", b.Label, b.Addr.V4, servicePort)
	}
	file, err := s.write("haproxy.cfg", fmt.Sprintf(`global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen ssh
  bind %s:%d
%s`, s.trial.cluster.VIP.V4, servicePort, servers.String()))
	if err != nil {
		return err
	}
	_, err = s.run("haproxy", "-db", "-f", file)
	return err
}

// stop leaves HAProxy: one stops keepalived to hand the VIP over.
func (keepalived) stop(_ context.Context, s *side) error {
	for _, p := range s.processes {
		if p.program == "keepalived" {
			if err := p.stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// kill9 kills both of its processes: killed alone, the one that speaks VRRP is
// at once started again by the other.
func (keepalived) kill9(_ context.Context, s *side) error { return s.Kill9("keepalived") }

func (keepalived) boot(*side) error { return nil }

// revive does nothing where it runs: a cable needs no service manager.
func (k keepalived) revive(ctx context.Context, s *side) error {
	if s.running("keepalived") {
		return nil
	}
	return k.start(ctx, s)
}
