package config

// clusterInterfaces checks that the cluster is on as many interfaces on each of
// its nodes, where their names are not the same.
func (c *checker) clusterInterfaces(p path, v *VirtualCluster) {
	for _, peer := range v.Peers {
		if _, defined := c.s.Nodes[peer.Node]; !defined {
			continue
		}
		theirs, ours := map[string]string{}, map[string]string{}
		for i, vip := range v.VIPs {
			at := p.key("vips").item(i).key("interface")
			name, ok := c.interfaceFor(at, vip.Interface, peer.Node)
			if !ok {
				continue
			}
			if own, known := ours[name]; known && own != vip.Interface {
				c.refuse(at, "use interfaces that are as many on each node", "is %s on %s, as %s is, which are two interfaces here", name, peer.Node, own)
			} else if their, known := theirs[vip.Interface]; known && their != name {
				c.refuse(at, "use interfaces that are as many on each node", "%s is one interface here, but both %s and %s on %s", vip.Interface, their, name, peer.Node)
			}
			ours[name], theirs[vip.Interface] = vip.Interface, name
		}
		for i, ping := range v.Pings {
			c.interfaceFor(p.key("pings").item(i).key("interface"), ping.Interface, peer.Node)
		}
		for i, a := range v.Addrs {
			c.interfaceFor(p.key("addrs").item(i).key("interface"), a.Interface, peer.Node)
		}
		c.interfaceFor(p.key("heartbeat").key("interface"), v.Heartbeat.Interface, peer.Node)
	}
}

// interfaceFor is the name that an interface has on another node, where it is
// own here; what is wrong with it is reported.
func (c *checker) interfaceFor(at path, own, node string) (name string, ok bool) {
	template, varies := c.templates[at]
	if !varies || own == "" {
		return own, own != ""
	}
	text, missing := c.forNode(template, node)
	if missing != "" {
		c.refuse(at, "define it there", "uses ${%s}, which %s does not define", missing, path("nodes").key(node))
		return "", false
	}
	name, problem, remedy := interfaceName.parse(text)
	if problem != "" {
		c.refuse(at, remedy, "is %s on %s, but %s", quote(text), node, problem)
	}
	return name, problem == ""
}
