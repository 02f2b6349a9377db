package keepalived

import (
	"regexp"
	"slices"
	"strings"
)

// clusterVIPs are the addresses of a cluster, with their interfaces as the
// settings are to name them.
func (w *writer) clusterVIPs(c cluster) (all []vip) {
	for _, r := range c.routers {
		for _, v := range r.own().vips {
			addr := v.addr.Addr()
			switch {
			case addr.Is6() && addr.IsLinkLocalUnicast():
				w.note(v.at, "%s is left out: a link-local address is none that clients dial", addr)
				continue
			case w.vips[addr]:
				w.note(v.at, "%s is left out here, for it is a virtual address already", addr)
				continue
			}
			w.vips[addr] = true
			if v.interfaceName == "" {
				v.interfaceName = w.interfaceOf(*r)
			} else {
				v.interfaceName = scalar(v.interfaceName)
			}
			all = append(all, v)
		}
	}
	return all
}

// interfaceOf is the interface of a router as the settings are to name it: by a
// variable where the nodes call it differently.
func (w *writer) interfaceOf(r router) string {
	own, differs := r.own().interfaceName, false
	for _, v := range r {
		differs = differs || v != nil && v.interfaceName != own
	}
	if !differs {
		return scalar(own)
	}
	name := variableOf(own, "_if")
	for i, v := range r {
		if v != nil {
			w.set(w.nodes[i].name, name, scalar(v.interfaceName))
		}
	}
	return `"${` + name + `}"`
}

// unicast writes the own addresses of the nodes where adverts go to them.
func (w *writer) unicast(c cluster, vips []vip, out func(string, ...any)) {
	if !slices.ContainsFunc(c.routers, func(r *router) bool { return len(r.own().peers) > 0 }) {
		for _, r := range c.routers {
			if v := r.own(); v.source.IsValid() {
				w.note(v.at, "unicast_src_ip %s is not translated without unicast_peer", v.source)
			}
		}
		return
	}
	out("unicast: true")
	out("addrs:")
	done := map[string]bool{}
	for _, v := range vips {
		six, suffix := v.addr.Addr().Is6(), "_addr"
		if six {
			suffix = "_addr6"
		}
		name := variableOf(strings.Trim(v.interfaceName, `"${}`), suffix)
		if done[name] {
			continue
		}
		done[name] = true
		out(`  - {interface: %s, addr: "${%s}"}`, v.interfaceName, name)
		for i, node := range w.gateways {
			addr := w.ownAddress(c, i, v.interfaceName, six)
			if addr == "~" {
				w.unknown++
			}
			w.set(node, name, addr)
		}
	}
}

// ownAddress is the address that a node sends from, ~ where nobody says.
func (w *writer) ownAddress(c cluster, node int, interfaceName string, six bool) string {
	for _, r := range c.routers {
		own := r.own()
		if interfaceName != scalar(own.interfaceName) && interfaceName != w.interfaceOf(*r) {
			continue
		}
		if node < len(*r) {
			if v := (*r)[node]; v != nil && v.source.IsValid() && v.source.Is6() == six {
				return scalar(v.source.String())
			}
		}
		if node > 0 && len(w.gateways) == 2 && len(own.peers) == 1 && own.peers[0].Is6() == six {
			return scalar(own.peers[0].String())
		}
	}
	return "~"
}

// set gives a node a value of a variable, as YAML.
func (w *writer) set(node, name, value string) {
	if w.values[node] == nil {
		w.values[node] = map[string]string{}
	}
	w.values[node][name] = value
}

var notInVariables = regexp.MustCompile(`[^a-z0-9]+`)

// variableOf is a name for a variable about an interface.
func variableOf(interfaceName, suffix string) string {
	name := notInVariables.ReplaceAllString(strings.ToLower(strings.TrimSuffix(interfaceName, "_if")), "_")
	name = strings.Trim(name, "_")
	if name == "" || name[0] < 'a' {
		name = "if_" + name
	}
	return name[:min(len(name), 40)] + suffix
}
