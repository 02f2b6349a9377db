package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/sys/unix"
)

// sluiceName is what our rows are called.
const sluiceName = "sluice"

// ours is "sluice run" on each gateway.
type ours struct {
	program string // its path
	// mode and clientAddress are the words of the settings.
	mode, clientAddress string
}

func (ours) name() string      { return sluiceName }
func (o ours) relay() string   { return strings.TrimSpace("sluice " + o.mode + " " + o.clientAddress) }
func (o ours) needs() []string { return []string{o.program} }

// sluiceFile differs between the gateways by what is under node alone.
var sluiceFile = template.Must(template.New("sluice").Parse(`node:
  name: {{.Label}}
  data_dir: {{.Dir}}/data
  bpffs: {{.Dir}}/bpf
  control: {socket: {{.Dir}}/sock}
nodes:
{{- range .Gateways}}
  {{.Label}}: {ext_addr: {{.Ext.V4}}, int_addr: {{.Int.V4}}, heartbeat_addr: {{.Heartbeat.V4}}}
{{- end}}
dataplane:
  interfaces: [ext0, int0]
  xdp: native
  max_flows: 16384
virtual_clusters:
  - name: edge
    vrid: 51
    priority: {{.Priorities}}
    preempt: true
    advert_interval: {{.Interval}}
    heartbeat: {interface: hb0, addr: "${heartbeat_addr}"}
    addrs:
      - {interface: ext0, addr: "${ext_addr}"}
      - {interface: int0, addr: "${int_addr}"}
    vips:
      - {addr: {{.VIP}}/24, interface: ext0}
      - {addr: {{.InsideVIP}}/24, interface: int0}
    pings:
      - {interface: ext0, hosts: [{{.Outside}}]}
      - {interface: int0, hosts: [{{range $i, $b := .Backends}}{{if $i}}, {{end}}{{$b.Addr.V4}}{{end}}]}
services:
  - name: login
    listen: "{{.VIP}}:{{.Port}}"
    mode: {{.Mode}}
{{- if .ClientAddress}}
    client_address: {{.ClientAddress}}
{{- end}}
{{- if eq .ClientAddress "hide"}}
    source_pool: [{{.InsideVIP}}]
{{- end}}
    backends: [{{range $i, $b := .Backends}}{{if $i}}, {{end}}"{{$b.Addr.V4}}:{{$.Port}}"{{end}}]
    health_check: {type: tcp, interval: 1s, timeout: 500ms}
`))

func (o ours) settings(s *side) (string, error) {
	c := s.trial.cluster
	var priorities []string
	for _, x := range s.trial.sides {
		priorities = append(priorities, fmt.Sprintf("%s: %d", x.Label, x.priority()))
	}
	var text strings.Builder
	err := sluiceFile.Execute(&text, map[string]any{
		"Label": s.Label, "Dir": s.dir, "Gateways": c.Gateways, "Priorities": "{" + strings.Join(priorities, ", ") + "}", "Interval": s.trial.interval,
		"VIP": c.VIP.V4, "InsideVIP": c.InsideVIP.V4, "Outside": c.Beyond.V4, "Backends": c.Backends,
		"Port": servicePort, "Mode": o.mode, "ClientAddress": o.clientAddress,
	})
	if err != nil {
		return "", err
	}
	return s.write("sluice.yaml", text.String())
}

// clusterKey is the secret that the gateways share: 32 bytes in a file of the
// data directory.
const clusterKey = "the gateways' key in a benchmark"

func (o ours) start(ctx context.Context, s *side) error {
	file, err := o.settings(s)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "cluster.key"), []byte(clusterKey), 0o600); err != nil {
		return err
	}
	p, err := s.run(o.program, "run", "-c", file)
	if err != nil {
		return err
	}
	err = until(ctx, readyWithin, func() error { return o.ready(ctx, s) })
	if err != nil {
		return fmt.Errorf("start sluice on %s: %v; it said: %s", s.Label, err, p.said())
	}
	return nil
}

// ready asks whether the gateway takes part in an election.
func (o ours) ready(ctx context.Context, s *side) error {
	cmd := s.Command(ctx, o.program, "--socket", filepath.Join(s.dir, "sock"), "show", "vips", "--json")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ask for VIPs: %v", err)
	}
	return takesPart(out)
}

// flowSync is how one end of a stream of flows is.
type flowSync struct{ Peer, Direction, State string }

// takesPart reads the answer of "show vips --json": each virtual cluster has a
// role, and a backup has the flows of the active gateway.
func takesPart(answer []byte) error {
	var a struct {
		Clusters []struct {
			Name, State, Reason string
			Sync                []flowSync
		} `json:"virtual_clusters"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return fmt.Errorf("read VIPs: %v", err)
	}
	if len(a.Clusters) == 0 {
		return errors.New("it shows no virtual cluster")
	}
	for _, c := range a.Clusters {
		if c.State != "active" && c.State != "backup" {
			return fmt.Errorf("virtual cluster %s is %q: %s", c.Name, c.State, c.Reason)
		}
		synced := slices.ContainsFunc(c.Sync, func(s flowSync) bool { return s.Direction == "in" && s.State == "synced" })
		if c.State == "backup" && !synced {
			return fmt.Errorf("virtual cluster %s has not all flows: %+v", c.Name, c.Sync)
		}
	}
	return nil
}

// stop is that of the whole: the VIPs are handed over first.
func (ours) stop(_ context.Context, s *side) error { return s.end() }

// kill9 kills the process that holds the VIPs; its parent knows at once.
func (o ours) kill9(_ context.Context, s *side) error {
	return s.Kill9(filepath.Base(o.program), "vip")
}

// boot takes the pins away, which a power failure takes with the memory, and
// leaves what is on disk.
func (ours) boot(s *side) error {
	at := filepath.Join(s.dir, "bpf")
	if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %v", at, err)
	}
	return nil
}

func (o ours) revive(ctx context.Context, s *side) error {
	if s.running(o.program) {
		return nil
	}
	return o.start(ctx, s)
}

// all are the contenders of --contenders, keepalived first: it is what the
// others are compared with.
func all(program string) []contender {
	return []contender{
		keepalived{}, keepalived{vmac: true},
		ours{program: program, mode: "nat", clientAddress: "hide"},
	}
}
