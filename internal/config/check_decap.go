package config

import "slices"

// decap checks that whoever takes packets out of others says where, from whom
// and for whom. An interface has one program: what a gateway steers on and what
// a backend takes packets out on cannot be the same.
func (c *checker) decap(p path, d Dataplane) {
	if !c.given(p) {
		return
	}
	for _, key := range []struct {
		name, remedy string
		missing      bool
	}{
		{"interfaces", "add interfaces: [eth0]", len(d.Decap.Interfaces) == 0},
		{"from", "add from: with the addresses of the gateways", len(d.Decap.From) == 0},
		{"vips", "add vips: with the virtual addresses on lo", len(d.Decap.VIPs) == 0},
	} {
		if key.missing {
			c.refuse(p, key.remedy, "has no %s", key.name)
		}
	}
	interfaces := p.key("interfaces")
	c.noRepeats(interfaces, len(d.Decap.Interfaces), func(i int) string { return d.Decap.Interfaces[i] })
	c.noRepeats(p.key("vips"), len(d.Decap.VIPs), func(i int) string {
		if !d.Decap.VIPs[i].IsValid() {
			return ""
		}
		return d.Decap.VIPs[i].String()
	})
	for i, name := range d.Decap.Interfaces {
		if name != "" && slices.Contains(d.Interfaces, name) {
			c.refuse(interfaces.item(i), "use another for one of them", "%s is one of dataplane.interfaces, and an interface carries one program", name)
		}
	}
	if len(c.s.Services) > 0 && len(d.Interfaces) == 0 {
		c.refuse(p, "add dataplane.interfaces with those that carry VIP traffic", "leaves open which interfaces the services use")
	}
}
