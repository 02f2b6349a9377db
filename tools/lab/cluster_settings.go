package main

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"sluice/internal/nettest"
)

// bpffsName is the folder of a node's pins in its directory.
const bpffsName = "bpffs"

// clusterFile is one file for all gateways but for what is under node.
var clusterFile = template.Must(template.New("cluster").Parse(`# Settings of {{.Label}} in the lab {{.Name}}. But for "node" they are those of
# all its gateways. This says what a change of them would do, and this does it:
#   {{.Sluice}} --socket {{.Dir}}/control.sock settings diff {{.Dir}}/sluice.yaml
#   {{.Sluice}} --socket {{.Dir}}/control.sock settings apply {{.Dir}}/sluice.yaml

node:
  name: {{.Label}}
  data_dir: {{.Dir}}/data
  bpffs: {{.Dir}}/{{.BPFFS}}
  control: {socket: {{.Dir}}/control.sock}
  metrics: "127.0.0.1:9422"

# What each gateway has of its own: ${ext_addr} below is its ext_addr here.
nodes:
{{- range .Gateways}}
  {{.Label}}: {ext_addr: {{.Ext.V4}}, int_addr: {{.Int.V4}}, ext6: "{{.Ext.V6}}", int6: "{{.Int.V6}}", heartbeat_addr: {{.Heartbeat.V4}}}
{{- end}}

dataplane:
  interfaces: [{{.Outside}}, {{.Inside}}]
  xdp: auto
  lifetimes: {half_closed: 10s, closed: 1s}

virtual_clusters:
  - name: edge
    vrid: 51
    priority: {{.Priorities}}
    advert_interval: 100ms
    heartbeat: {interface: {{.Heartbeat}}, addr: "${heartbeat_addr}"}
    addrs:
      - {interface: {{.Outside}}, addr: "${ext_addr}"}
      - {interface: {{.Outside}}, addr: "${ext6}"}
      - {interface: {{.Inside}}, addr: "${int_addr}"}
      - {interface: {{.Inside}}, addr: "${int6}"}
    # They move together, or not at all.
    vips:
      - {addr: {{.VIP.V4}}/24, interface: {{.Outside}}}
      - {addr: "{{.VIP.V6}}/64", interface: {{.Outside}}}
      - {addr: {{.InsideVIP.V4}}/24, interface: {{.Inside}}}
      - {addr: "{{.InsideVIP.V6}}/64", interface: {{.Inside}}}
    # A gateway whose router or whose backends all fail to answer hands over.
    pings:
      - {interface: {{.Outside}}, hosts: [{{.Beyond.V4}}]}
      - {interface: {{.Inside}}, hosts: {{.Pinged}}}

services:
{{- range .Services}}
  - name: {{.Name}}
    listen: "{{.Listen}}"
    mode: {{$.Mode}}
{{- if eq $.Mode "nat"}}
    client_address: {{$.ClientAddress}}
{{- if eq $.ClientAddress "hide"}}
    # What backends see; it moves with the VIP.
    source_pool: ["{{$.InsideVIP.Like .Listen.Addr}}"]
{{- end}}{{end}}
    backends:
{{- range .Backends}}
      - {name: {{.Name}}, addr: "{{.Addr}}"}
{{- end}}
    health_check: {type: ssh, interval: 1s, timeout: 500ms, rise: 2, fall: 3}
{{- end}}
`))

// priorities are those of the gateways, the first one's the highest.
func priorities(gateways []*nettest.ClusterGateway) string {
	var texts []string
	for i, g := range gateways {
		texts = append(texts, fmt.Sprintf("%s: %d", g.Label, 150-25*i))
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// pinged are the first three backends.
func pinged(backends []*nettest.Backend) string {
	var texts []string
	for _, b := range backends[:min(3, len(backends))] {
		texts = append(texts, b.Addr.V4.String())
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// settingsOf is a gateway's settings file.
func (c *cluster) settingsOf(g *nettest.ClusterGateway, dir string) (string, error) {
	var text strings.Builder
	err := clusterFile.Execute(&text, map[string]any{
		"Label": g.Label, "Name": c.name, "Dir": dir, "BPFFS": bpffsName, "Sluice": c.options.sluice,
		"Outside": nettest.OutsideLink, "Inside": nettest.InsideLink, "Heartbeat": nettest.HeartbeatLink,
		"Gateways": c.network.Gateways, "Priorities": priorities(c.network.Gateways),
		"VIP": c.network.VIP, "InsideVIP": c.network.InsideVIP, "Beyond": c.network.Beyond, "Pinged": pinged(c.network.Backends),
		"Mode": c.mode, "ClientAddress": c.clientAddress, "Services": services(c.vips(), c.network.Backends),
	})
	if err != nil {
		return "", fmt.Errorf("write settings of %s: %v", g.Label, err)
	}
	return text.String(), nil
}

// newNode writes what a gateway's "sluice run" finds on its disk: settings, and
// the key that all gateways share.
func (c *cluster) newNode(g *nettest.ClusterGateway, key []byte) (*node, error) {
	dir, err := c.site.mkdir(g.Label)
	if err != nil {
		return nil, err
	}
	n := &node{gateway: g, dir: dir, settings: filepath.Join(dir, "sluice.yaml")}
	text, err := c.settingsOf(g, dir)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(n.settings, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write settings: %v", err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(data, "cluster.key"), key, 0o600); err != nil {
		return nil, fmt.Errorf("write the cluster's key: %v", err)
	}
	n.sluice = &sluice{
		program: c.options.sluice, ns: g.Namespace, patience: stopWithin,
		socket: filepath.Join(dir, "control.sock"), log: filepath.Join(dir, "sluice.log"),
	}
	return n, nil
}

// clusterKey is a new secret for the gateways to share.
func clusterKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return key
}

// services are one of each family. A backend's name is its label, of IPv6 with
// "-v6": another address is another backend, and names are unique.
func services(vips []netip.AddrPort, backends []*nettest.Backend) []serviceSettings {
	var all []serviceSettings
	for _, vip := range vips {
		s := serviceSettings{Name: "login", Listen: vip}
		suffix := ""
		if vip.Addr().Is6() {
			s.Name, suffix = "login-v6", "-v6"
		}
		for _, b := range backends {
			addr := netip.AddrPortFrom(b.Addr.Like(vip.Addr()), sshPort)
			s.Backends = append(s.Backends, backendSettings{b.Label + suffix, addr})
		}
		all = append(all, s)
	}
	return all
}
