package config

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// clusters checks the virtual clusters, each against itself and all against
// each other.
func (c *checker) clusters() {
	own := c.ownValues()
	for i := range c.s.VirtualClusters {
		p, v := path("virtual_clusters").item(i), &c.s.VirtualClusters[i]
		c.clusterNodes(p, v)
		c.clusterVIPs(p, v, own)
	}
	for i := range c.s.VirtualClusters {
		c.cluster(path("virtual_clusters").item(i), &c.s.VirtualClusters[i])
	}
	c.clusterNames()
	c.vrids()
}

// cluster checks what one virtual cluster says against itself, and fills in
// what follows from other values.
func (c *checker) cluster(p path, v *VirtualCluster) {
	if v.Name == "" && !c.given(p.key("name")) {
		v.Name = v.defaultName()
	}
	c.version(p, v)
	c.clusterAddrs(p, v)
	c.auth(p.key("auth"), &v.Auth)
	c.heartbeat(p, v)
	c.pings(p, v)
	c.clusterInterfaces(p, v)
	if !v.Preempt && c.given(p.key("preempt_delay")) && v.PreemptDelay > 0 {
		c.refuse(p.key("preempt_delay"), "add preempt: true, or remove it", "means nothing without preempt")
	}
	if len(v.Notify) == 0 {
		c.idle(p.key("notify_timeout"), "without notify")
	} else if _, problem, remedy := absolute(4096).parse(v.Notify[0]); problem != "" && v.Notify[0] != "" {
		c.refuse(p.key("notify").item(0), remedy, "%s", problem)
	}
}

// version checks what the version of VRRP can say, and fills in the interval
// that it allows.
func (c *checker) version(p path, v *VirtualCluster) {
	at, unit := p.key("advert_interval"), 10*time.Millisecond
	if v.Version == 2 {
		unit = time.Second
		c.idle(p.key("checksum"), "with version 2")
		v.Checksum = ""
	}
	if !c.given(at) && v.Version != 0 {
		v.AdvertInterval = max(unit, 100*time.Millisecond)
	}
	if v.AdvertInterval%unit != 0 && v.Version != 0 {
		c.refuse(at, "write a multiple of it", "%s is no multiple of %s, the unit of VRRP version %d",
			formatDuration(v.AdvertInterval), formatDuration(unit), v.Version)
	}
}

// clusterNodes checks who is in the cluster, and finds out what this node is in
// it and who the others are.
func (c *checker) clusterNodes(p path, v *VirtualCluster) {
	at, self := p.key("priority"), c.variables.node()
	if c.s.Nodes == nil && c.given("nodes") || self == "" {
		return // the reason is reported there
	}
	if len(v.Priority) == 0 {
		if c.place(at) != c.place(p) {
			c.refuse(at, fmt.Sprintf("add this node, such as {%s: 100}", self), "names no node")
		}
		return
	}
	if _, listed := c.s.Nodes[self]; !listed && v.Priority[self] == 0 && len(c.s.Nodes) > 0 {
		c.refuse(at, suggestNode(self, c.s.Nodes), "is for the nodes of nodes, and this node, %s, is none of them", quote(self))
	}
	byPriority := map[int]string{}
	for _, name := range slices.Sorted(maps.Keys(v.Priority)) {
		priority := v.Priority[name]
		if _, defined := c.s.Nodes[name]; !defined && name != self {
			remedy := "add it there, as {} if it has no variables"
			if len(c.s.Nodes) > 0 {
				remedy = suggest(name, slices.Sorted(maps.Keys(c.s.Nodes)))
			}
			c.refuse(at.key(name), remedy, "names %s, which nodes does not define", quote(name))
		}
		if other, taken := byPriority[priority]; taken && priority != 0 {
			c.warn(c.place(at.key(name)), at.key(name), "give one of the two more", "%s has the priority of %s, so the higher address decides", name, other)
		}
		byPriority[priority] = name
		if n := len(v.Priority); n > 1 && priority > 0 && priority <= n {
			c.refuse(at.key(name), fmt.Sprintf("make it at least %d", n+1), "%d is one of the %d lowest, by which nodes say that they serve worse than they should", priority, n)
		}
		if name == self {
			v.Member, v.OwnPriority = true, priority
		} else {
			v.Peers = append(v.Peers, Peer{Node: name, Priority: priority})
		}
	}
}

// suggestNode says what to do where the node that reads the file is not in it.
func suggestNode(self string, nodes map[string]map[string]string) string {
	return fmt.Sprintf("set node.name to the one that this machine is (%s)", suggest(self, slices.Sorted(maps.Keys(nodes))))
}

// clusterNames reports names that mean two clusters.
func (c *checker) clusterNames() {
	first := map[string]path{}
	for i, v := range c.s.VirtualClusters {
		at := path("virtual_clusters").item(i).key("name")
		if before, taken := first[v.Name]; taken && v.Name != "" {
			c.refuse(at, "choose another", "%s is already the name of another virtual cluster, %s", v.Name, c.ref(before))
			continue
		}
		first[v.Name] = at
	}
}

// auth checks that there is a key wherever one is used.
func (c *checker) auth(p path, a *Auth) {
	if a.Mode != AuthOff && a.Mode != "" && !c.given(p.key("keys")) {
		c.refuse(p, "add keys: [{id: 1, file: /etc/sluice/vrrp.key}]", "has no keys, which mode %s needs", a.Mode)
	} else if a.Mode != AuthOff && a.Mode != "" && len(a.Keys) == 0 && c.given(p.key("keys")) {
		c.refuse(p.key("keys"), "add {id: 1, file: /etc/sluice/vrrp.key}", "names no key, and mode %s needs one", a.Mode)
	}
	ids := make([]string, 0, len(a.Keys))
	for _, k := range a.Keys {
		id := ""
		if k.ID != 0 {
			id = fmt.Sprint(k.ID)
		}
		ids = append(ids, id)
	}
	c.noRepeats(p.key("keys"), len(ids), func(i int) string { return ids[i] })
	send := p.key("send")
	switch {
	case !c.given(send) && len(a.Keys) > 0:
		a.Send = a.Keys[0].ID
	case len(a.Keys) == 0:
		c.idle(send, "without keys")
	case a.Send != 0 && !slices.ContainsFunc(a.Keys, func(k AuthKey) bool { return k.ID == a.Send }):
		c.refuse(send, "write the id of one of keys", "no key has the id %d", a.Send)
	}
}
