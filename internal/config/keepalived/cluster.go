package keepalived

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// cluster is a virtual cluster to be: routers that move together. With each are
// those of the other nodes that are the same router.
type cluster struct {
	name    string
	routers []*router
	notify  []string
}

// own is the router as the node of the settings has it.
func (r router) own() *instance { return r[0] }

// translate says the configurations of all nodes in settings.
func translate(nodes []*configuration) *writer {
	w := &writer{nodes: nodes, values: map[string]map[string]string{}, listens: map[netip.AddrPort]bool{}, vips: map[netip.Addr]bool{}, names: map[string]bool{}, noted: map[string]bool{}}
	for _, c := range nodes {
		w.left = append(w.left, c.left...)
		w.omitted += c.omitted
	}
	own := nodes[0]
	if len(own.instances) > 0 {
		w.nameNodes()
	}
	for _, c := range w.clusters(own) {
		w.cluster(c)
	}
	for _, s := range own.servers {
		w.server(own, s)
	}
	return w
}

// other is the node that stands for the gateways whose configuration is not
// there.
const other = "other-gateway"

// nameNodes lists the nodes of the clusters.
func (w *writer) nameNodes() {
	for _, c := range w.nodes {
		w.gateways = append(w.gateways, c.name)
	}
	if len(w.nodes) == 1 {
		other := other
		if w.gateways[0] == other {
			other += "-2"
		}
		w.gateways = append(w.gateways, other)
		w.note(position{file: w.nodes[0].node.File, line: 1, column: 1},
			"the other gateway, %s, is not known: give its file as --node NAME=FILE, or put its name and values where ~ is", other)
	}
}

// clusters are the sync groups and, each for itself, the routers of none.
func (w *writer) clusters(own *configuration) (all []cluster) {
	byName, taken := map[string]*instance{}, map[string]bool{}
	for _, v := range own.instances {
		byName[v.name] = v
	}
	for _, g := range own.groups {
		c := cluster{name: g.name, notify: g.notify}
		for _, name := range g.instances {
			v, known := byName[name.text]
			switch {
			case !known:
				w.note(name.at, "vrrp_sync_group %s: there is no vrrp_instance %s", quote(g.name), quote(name.text))
			case taken[name.text]:
				w.note(name.at, "vrrp_sync_group %s: %s is in a group already", quote(g.name), quote(name.text))
			default:
				taken[name.text] = true
				c.routers = append(c.routers, w.router(v))
			}
		}
		if len(c.routers) > 0 {
			all = append(all, c)
		}
	}
	for _, v := range own.instances {
		if !taken[v.name] {
			all = append(all, cluster{name: v.name, notify: v.notify, routers: []*router{w.router(v)}})
		}
	}
	return all
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// unique is a name for a cluster that no other has.
func (w *writer) unique(name string) string {
	name = strings.TrimLeft(notInNames.ReplaceAllString(name, "-"), "._-")
	name = name[:min(len(name), 50)]
	if name == "" {
		name = "cluster"
	}
	free := name
	for n := 2; w.names[free]; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	w.names[free] = true
	return free
}

// version is that of a cluster, and its interval between adverts.
func (w *writer) version(c cluster) (version int, advert time.Duration) {
	own, six := c.routers[0].own(), false
	for _, r := range c.routers {
		six = six || r.own().ipv6()
	}
	version = own.version
	if version == 0 {
		version = w.nodes[0].globals.version
	}
	if version == 0 {
		version = 2
	}
	if six && version == 2 {
		if len(c.routers) > 1 {
			w.note(own.at, "%s: the cluster has IPv6 addresses and so version 3 throughout: change all nodes at once", quote(own.name))
		}
		version = 3
	}
	unit, least := 10*time.Millisecond, 50*time.Millisecond
	if version == 2 {
		unit, least = time.Second, time.Second
	}
	advert = w.within(own.at, "advert_int", own.advert, least, 40*time.Second)
	if rounded := advert.Round(unit); rounded != advert {
		w.note(own.at, "advert_int of %s becomes %s, a multiple of what version %d can say", span(advert), span(rounded), version)
		advert = rounded
	}
	return version, advert
}

// priority is that of one node in a cluster; known is false where the
// configurations do not tell.
func (w *writer) priority(c cluster, node int) (priority int, known bool) {
	if node >= len(w.nodes) {
		return 0, false
	}
	for _, r := range c.routers {
		v := (*r)[node]
		switch {
		case v == nil:
		case !known:
			priority, known = v.priority, true
		case v.priority != priority:
			w.note(v.at, "%s: the priority %d is not taken, for a cluster has one, %d", quote(v.name), v.priority, priority)
		}
	}
	if priority == 255 {
		w.note(c.routers[0].own().at, "priority 255 becomes 254: no node owns a virtual address")
		priority = 254
	}
	return priority, known
}

// differences lists what the routers of a cluster have apart, of which a
// cluster has one.
func (w *writer) differences(c cluster) {
	first := c.routers[0].own()
	for _, r := range c.routers[1:] {
		v := r.own()
		for _, d := range []struct {
			what    string
			was, is any
		}{
			{"virtual_router_id", v.vrid, first.vrid}, {"advert_int", span(v.advert), span(first.advert)},
			{"nopreempt", v.noPreempt, first.noPreempt}, {"preempt_delay", span(v.preemptDelay), span(first.preemptDelay)},
			{"use_vmac", v.mac, first.mac},
		} {
			if d.was != d.is {
				w.note(v.at, "%s: %s is %v, but a cluster has one, %v: change all nodes at once", quote(v.name), d.what, d.was, d.is)
			}
		}
	}
}
