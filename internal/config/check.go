package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// checker holds the rules between values, for which all of them have to be
// known. Values that could not be read are zero, and no rule speaks of them.
type checker struct {
	*reader
	s *Settings
	// vips are the virtual addresses of virtual clusters.
	vips map[netip.Addr]clusterVIP
}

// check reports every broken rule and fills in what follows from other values.
func check(r *reader, s *Settings) {
	c := checker{reader: r, s: s, vips: map[netip.Addr]clusterVIP{}}
	c.nodeName()
	c.noRepeats("dataplane.interfaces", len(s.Dataplane.Interfaces), func(i int) string { return s.Dataplane.Interfaces[i] })
	c.guard()
	c.decap("dataplane.decap", s.Dataplane)
	c.clusters()
	for i := range s.Services {
		c.service(path("services").item(i), &s.Services[i])
	}
	c.listens()
	c.members()
	c.serviceNames()
	c.backendNames()
	c.clusterBackends()
	r.checkVariables()
}

// refuse reports the value at p.
func (c *checker) refuse(p path, remedy, format string, args ...any) {
	c.fault(c.place(p), p, remedy, format, args...)
}

// ref names another value in a message.
func (c *checker) ref(p path) string { return fmt.Sprintf("%s (line %d)", p, c.place(p).line) }

// noRepeats reports items of a list that stand there twice. An item without
// text is passed over.
func (c *checker) noRepeats(p path, n int, text func(int) string) {
	first := make(map[string]path, n)
	for i := range n {
		t := text(i)
		if before, repeated := first[t]; repeated && t != "" {
			c.refuse(p.item(i), "keep one of the two", "repeats %s", c.ref(before))
			continue
		}
		first[t] = p.item(i)
	}
}

// nodeName checks a name that did not come from the file.
func (c *checker) nodeName() {
	if c.given("node.name") || c.variables.self != nil || c.s.Node == (Node{}) {
		return
	}
	if _, problem, _ := nodeName.parse(c.s.Node.Name); problem != "" {
		c.refuse("node.name", "set node.name", "the host name %s cannot name the node", quote(c.s.Node.Name))
	}
}

// serviceNames gives services without a name their address and port, and
// reports names that mean two.
func (c *checker) serviceNames() {
	first := map[string]path{}
	for i := range c.s.Services {
		s, at := &c.s.Services[i], path("services").item(i).key("name")
		if s.Name == "" {
			if s.Listen.IsValid() && !c.given(at) {
				s.Name = s.Listen.String()
			}
			continue
		}
		if strings.Contains(s.Name, ":") && s.Listen.IsValid() && s.Name != s.Listen.String() {
			c.refuse(at, "choose a word", "%s is not where the service listens", s.Name)
		} else if before, taken := first[s.Name]; taken {
			c.refuse(at, "choose another", "%s is already the name of another service, %s", s.Name, c.ref(before))
		} else {
			first[s.Name] = at
		}
	}
}
