package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"text/template"

	"sluice/internal/nettest"
)

// settingsFile is written to be read: it is the example that people change
// first.
var settingsFile = template.Must(template.New("settings").Parse(`# Settings of the lab {{.Name}}. Change them while it runs; this says what would
# change, and this does it:
#   {{.Sluice}} --socket {{.Dir}}/control.sock settings diff {{.Dir}}/sluice.yaml
#   {{.Sluice}} --socket {{.Dir}}/control.sock settings apply {{.Dir}}/sluice.yaml

node:
  name: {{.Name}}-gw
  # All of the lab's own is below one directory, which goes with the lab.
  data_dir: {{.Dir}}/data
  bpffs: {{.Dir}}/bpffs
  control: {socket: {{.Dir}}/control.sock}
  # ip netns exec {{.Name}}-gw curl -s 127.0.0.1:9422/metrics
  metrics: "127.0.0.1:9422"

dataplane:
  interfaces: [{{.Outside}}, {{.Inside}}]
  xdp: auto
  # Short, so that the counters here follow what you do.
  lifetimes: {half_closed: 10s, closed: 1s}

services:
{{- range .Services}}
  - name: {{.Name}}
    listen: "{{.Listen}}"
    mode: {{$.Mode}}{{if eq $.Mode "nat"}}
    client_address: {{$.ClientAddress}}{{end}}
    backends:
{{- range .Backends}}
      - {name: {{.Name}}, addr: "{{.Addr}}"}
{{- end}}
    # An SSH server says who it is before anybody logs in; that is the check.
    health_check: {type: ssh, interval: 1s, timeout: 500ms, rise: 2, fall: 3}
{{- end}}
`))

// serviceSettings is one service of the settings file.
type serviceSettings struct {
	Name     string
	Listen   netip.AddrPort
	Backends []backendSettings
}

// backendSettings is one backend of a service.
type backendSettings struct {
	Name string
	Addr netip.AddrPort
}

// writeSettings writes the settings file and returns its path.
func (l *lab) writeSettings() (string, error) {
	var text strings.Builder
	err := settingsFile.Execute(&text, map[string]any{
		"Name": l.name, "Dir": l.site.dir, "Sluice": l.options.sluice,
		"Outside": nettest.OutsideLink, "Inside": nettest.InsideLink,
		"Mode": l.mode, "ClientAddress": l.clientAddress, "Services": services(l.vips(), l.network.Backends),
	})
	if err != nil {
		return "", fmt.Errorf("write settings: %v", err)
	}
	path := l.site.file("sluice.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return "", fmt.Errorf("write settings: %v", err)
	}
	return path, nil
}
