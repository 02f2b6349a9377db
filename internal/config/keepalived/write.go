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
