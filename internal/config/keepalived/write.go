package keepalived

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/config"
)

// writer makes the text of the settings.
type writer struct {
	nodes    []*configuration
	gateways []string // names of the nodes of the clusters
	values   map[string]map[string]string
	listens  map[netip.AddrPort]bool
	vips     map[netip.Addr]bool
	names    map[string]bool
	unknown  int
	left     []*config.Fault
	omitted  int
	noted    map[string]bool

	clusterText, serviceText bytes.Buffer
}

// note lists what has no counterpart, once.
func (w *writer) note(at position, format string, args ...any) {
	n := &config.Fault{File: shown(at.file), Line: at.line, Column: at.column, Problem: fmt.Sprintf(format, args...)}
	switch text := n.Error(); {
	case w.noted[text]:
	case len(w.left) >= maxNotes:
		w.omitted++
	default:
		w.noted[text] = true
		w.left = append(w.left, n)
	}
}

// settings puts the text together.
func (w *writer) settings() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# From %s, by sluice import keepalived.\n", shown(w.nodes[0].node.File))
	if w.unknown > 0 {
		fmt.Fprintf(&b, "# For each ~ something is to be filled in; sluice check lists them.\n")
	}
	if len(w.gateways) > 0 {
		b.WriteString("nodes:\n")
		for _, name := range w.gateways {
			fmt.Fprintf(&b, "  %s: {", scalar(name))
			for i, variable := range slices.Sorted(maps.Keys(w.values[name])) {
				if i > 0 {
					b.WriteString(", ")
				}
				fmt.Fprintf(&b, "%s: %s", variable, w.values[name][variable])
			}
			b.WriteString("}\n")
		}
	}
	for _, section := range []struct {
		name string
		text *bytes.Buffer
	}{{"virtual_clusters", &w.clusterText}, {"services", &w.serviceText}} {
		if section.text.Len() > 0 {
			fmt.Fprintf(&b, "%s:\n%s", section.name, section.text)
		}
	}
	if len(w.gateways) == 0 && w.serviceText.Len() == 0 {
		b.WriteString("{}\n")
	}
	if len(w.left) > 0 {
		b.WriteString("#\n# What the configuration has and these settings have not, or not the same:\n")
	}
	for _, n := range w.left {
		fmt.Fprintf(&b, "#   %s\n", n)
	}
	if w.omitted > 0 {
		fmt.Fprintf(&b, "#   and %d more\n", w.omitted)
	}
	return b.Bytes()
}

// cluster writes one virtual cluster.
func (w *writer) cluster(c cluster) {
	vips := w.clusterVIPs(c)
	own := c.routers[0].own()
	if len(vips) == 0 {
		w.note(own.at, "%s: left out, for it has no virtual address", quote(own.name))
		return
	}
	w.differences(c)
	version, advert := w.version(c)
	out := func(format string, args ...any) { fmt.Fprintf(&w.clusterText, "    "+format+"\n", args...) }
	fmt.Fprintf(&w.clusterText, "  - name: %s\n", scalar(w.unique(c.name)))
	out("vrid: %d", own.vrid)
	out("priority: {%s}", w.priorities(c))
	out("preempt: %t", !own.noPreempt)
	if delay := w.within(own.at, "preempt_delay", own.preemptDelay, 0, time.Hour); delay > 0 && !own.noPreempt {
		out("preempt_delay: %s", span(delay))
	}
	out("advert_interval: %s", span(advert))
	out("version: %d", version)
	if mac := "off"; own.mac {
		out("virtual_mac: auto")
	} else {
		out("virtual_mac: %s", scalar(mac))
	}
	w.unicast(c, vips, out)
	out("vips:")
	for _, v := range vips {
		out("  - {addr: %s, interface: %s}", scalar(v.addr.String()), v.interfaceName)
	}
	w.notifyAndAnnounce(c, out)
	w.tracked(c)
	out("# Without a heartbeat link, nodes that do not hear each other all become active:")
	out(`# heartbeat: {interface: hb0, addr: "${heartbeat_addr}"}`)
}

// priorities are those of all nodes, on one line.
func (w *writer) priorities(c cluster) string {
	var all []string
	for i, name := range w.gateways {
		priority, known := w.priority(c, i)
		switch {
		case known:
			all = append(all, fmt.Sprintf("%s: %d", scalar(name), priority))
		case i >= len(w.nodes):
			w.unknown++
			all = append(all, scalar(name)+": ~")
		}
	}
	return strings.Join(all, ", ")
}

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

// notifyAndAnnounce writes what happens at a change.
func (w *writer) notifyAndAnnounce(c cluster, out func(string, ...any)) {
	own := c.routers[0].own()
	if command := c.notify; len(command) > 0 && strings.HasPrefix(command[0], "/") {
		words := make([]string, len(command))
		for i, word := range command {
			words[i] = scalar(word)
		}
		out("notify: [%s]", strings.Join(words, ", "))
	} else if len(command) > 0 {
		w.note(own.at, "notify %s is left out: it is no path from the root", quote(command[0]))
	}
	var parts []string
	a, g := own.announce, w.nodes[0].globals.announce
	if v := either(a.repeat, g.repeat); v != nil {
		parts = append(parts, fmt.Sprintf("repeat: %d", min(max(*v, 1), 32)))
	}
	if v := either(a.delay, g.delay); v != nil {
		parts = append(parts, "delay: "+span(w.within(own.at, "garp_master_delay", time.Duration(*v)*time.Second, 0, time.Minute)))
	}
	if v := either(a.refresh, g.refresh); v != nil {
		parts = append(parts, "refresh: "+span(time.Duration(*v)*time.Second))
	}
	if len(parts) > 0 {
		out("announce: {%s}", strings.Join(parts, ", "))
	}
}

// either is the first that is there.
func either(a, b *int) *int {
	if a != nil {
		return a
	}
	return b
}

// tracked lists the links that are minded by keepalived and not by us, which
// minds those with virtual addresses.
func (w *writer) tracked(c cluster) {
	minded := map[string]bool{}
	for _, r := range c.routers {
		minded[r.own().interfaceName] = true
		for _, v := range r.own().vips {
			minded[v.interfaceName] = true
		}
	}
	for _, r := range c.routers {
		for _, s := range r.own().tracked {
			switch {
			case !minded[s.keyword()]:
				w.note(s.at, "track_interface %s: the links of interfaces with virtual addresses are minded, this one is not: add a ping", quote(s.keyword()))
			case len(s.words) > 1:
				w.note(s.at, "track_interface %s: a link that is down is reason enough, it has no weight", quote(s.line()))
			}
		}
	}
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

var (
	plain   = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)
	keyword = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)
)

// scalar is text as YAML has it, with nothing in it that settings replace.
func scalar(t string) string {
	if plain.MatchString(t) && !keyword.MatchString(t) {
		return t
	}
	return strconv.Quote(strings.ReplaceAll(strings.ToValidUTF8(t, "\uFFFD"), "${", "$${"))
}
