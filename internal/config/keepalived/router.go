package keepalived

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// globals are the defaults of all instances.
type globals struct {
	routerID string
	version  int // 0 where it is not said
	announce announce
}

// announce is what is sent at a take-over; nil where it is not said.
type announce struct{ repeat, delay, refresh *int }

// instance is a virtual router.
type instance struct {
	name                     string
	at                       position
	interfaceName            string
	vrid, priority, version  int
	advert                   time.Duration
	noPreempt, mac, excludes bool
	preemptDelay             time.Duration
	source                   netip.Addr
	peers                    []netip.Addr
	vips                     []vip
	tracked                  []*statement
	notify                   []string
	announce                 announce
}

// vip is an address of a virtual router.
type vip struct {
	addr          netip.Prefix
	interfaceName string // empty for the router's
	at            position
}

// syncGroup are routers that move together.
type syncGroup struct {
	name      string
	at        position
	instances []word
	notify    []string
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// readGlobals takes in the defaults.
func (c *configuration) readGlobals(of *statement) {
	for _, s := range of.block {
		switch word := s.keyword(); {
		case word == "router_id":
			if nodeName.MatchString(s.word(1)) {
				c.globals.routerID = s.word(1)
			} else {
				c.leave(s, "no name for a node")
			}
		case word == "vrrp_version":
			c.globals.version = c.number(s, 2, 3)
		case strings.HasPrefix(word, "vrrp_garp_master_"):
			c.readAnnounce(s, strings.TrimPrefix(word, "vrrp_"), &c.globals.announce)
		case strings.HasPrefix(word, "notification_email"), strings.HasPrefix(word, "smtp_"):
			c.leave(s, "sluice sends no mail: notify runs a program")
		case word == "enable_script_security", word == "script_user":
			c.leave(s, "notify runs as the process of the virtual clusters")
		default:
			c.unknown(s)
		}
	}
}

// readAnnounce takes in one value of what is sent at a take-over.
func (c *configuration) readAnnounce(s *statement, keyword string, into *announce) {
	for name, to := range map[string]**int{
		"garp_master_delay": &into.delay, "garp_master_repeat": &into.repeat, "garp_master_refresh": &into.refresh,
	} {
		if keyword == name {
			v := c.number(s, 0, 86400)
			*to = &v
			return
		}
	}
	c.unknown(s)
}

// readGroup takes in a sync group.
func (c *configuration) readGroup(of *statement) {
	g := &syncGroup{name: of.word(1), at: of.at}
	for _, s := range of.block {
		switch s.keyword() {
		case "group":
			g.instances = append(g.instances, s.words[1:]...)
			for _, line := range s.block {
				g.instances = append(g.instances, line.words...)
			}
		case "notify":
			g.notify = c.command(s)
		default:
			c.statementOfBoth(s)
		}
	}
	c.groups = append(c.groups, g)
}

// readInstance takes in a virtual router.
func (c *configuration) readInstance(of *statement) {
	v := &instance{name: of.word(1), at: of.at, priority: 100, advert: time.Second}
	if slices.ContainsFunc(c.instances, func(other *instance) bool { return other.name == v.name }) {
		c.fault(of.at, "a second vrrp_instance is called "+quote(v.name), "choose another name")
		return
	}
	for _, s := range of.block {
		if read, known := instanceWords[s.keyword()]; known {
			read(c, v, s)
		} else if name := s.keyword(); strings.HasPrefix(name, "garp_master_") {
			c.readAnnounce(s, name, &v.announce)
		} else {
			c.statementOfBoth(s)
		}
	}
	switch {
	case v.interfaceName == "":
		c.fault(of.at, quote(v.name)+" has no interface", "add the line, such as interface eth0")
	case v.vrid == 0 && len(c.faults) == 0:
		c.fault(of.at, quote(v.name)+" has no virtual_router_id", "add the line, with a number from 1 to 255")
	}
	c.instances = append(c.instances, v)
}
