package keepalived

import (
	"slices"
	"strings"
)

// instanceWords are what a virtual router may say that has a counterpart.
var instanceWords = map[string]func(*configuration, *instance, *statement){
	"state":             func(*configuration, *instance, *statement) {}, // every node of ours begins as backup
	"interface":         func(_ *configuration, v *instance, s *statement) { v.interfaceName = s.word(1) },
	"virtual_router_id": func(c *configuration, v *instance, s *statement) { v.vrid = c.number(s, 1, 255) },
	"priority":          func(c *configuration, v *instance, s *statement) { v.priority = c.number(s, 1, 255) },
	"version":           func(c *configuration, v *instance, s *statement) { v.version = c.number(s, 2, 3) },
	"advert_int":        func(c *configuration, v *instance, s *statement) { v.advert = c.seconds(s) },
	"nopreempt":         func(_ *configuration, v *instance, _ *statement) { v.noPreempt = true },
	"preempt":           func(_ *configuration, v *instance, _ *statement) { v.noPreempt = false },
	"preempt_delay":     func(c *configuration, v *instance, s *statement) { v.preemptDelay = c.seconds(s) },
	"use_vmac":          func(_ *configuration, v *instance, _ *statement) { v.mac = true },
	"vmac_xmit_base": func(c *configuration, _ *instance, s *statement) {
		c.leave(s, "sluice needs no such thing, but keepalived with it does not hear a node that has its virtual MAC, and becomes active beside it: "+
			"while nodes of both kinds run, take it out there, or set virtual_mac: off")
	},
	"unicast_src_ip": func(c *configuration, v *instance, s *statement) {
		v.source = c.address(s.at, s.keyword(), s.word(1))
	},
	"unicast_peer": func(c *configuration, v *instance, s *statement) {
		for _, line := range s.block {
			if peer := c.address(line.at, s.keyword(), line.keyword()); peer.IsValid() {
				v.peers = append(v.peers, peer)
			}
			if len(line.words) > 1 {
				c.leave(line, "only the address is taken")
			}
		}
	},
	"virtual_ipaddress": func(c *configuration, v *instance, s *statement) { c.readVIPs(v, s) },
	"virtual_ipaddress_excluded": func(c *configuration, v *instance, s *statement) {
		c.readVIPs(v, s)
		c.leave(s, "these are virtual addresses like the others, and adverts name them: change all nodes at once")
	},
	"track_interface": func(_ *configuration, v *instance, s *statement) { v.tracked = append(v.tracked, s.block...) },
	"notify":          func(c *configuration, v *instance, s *statement) { v.notify = c.command(s) },
	"authentication": func(c *configuration, _ *instance, s *statement) {
		c.leave(s, "VRRP has had no such thing since RFC 3768, and whoever hears an advert reads it: use auth, which proves")
	},
	"lvs_sync_daemon_interface": func(c *configuration, _ *instance, s *statement) {
		c.leave(s, "flow sync takes the heartbeat link: set heartbeat")
	},
}

// statementOfBoth lists what routers and groups may say alike.
func (c *configuration) statementOfBoth(s *statement) {
	switch s.keyword() {
	case "track_script", "track_process", "track_file", "track_bfd":
		c.leave(s, "checks of the machine have no counterpart: sluice minds its own processes, the links and pings")
	case "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_master_rx_lower_pri", "notify_deleted":
		c.leave(s, "one program is run at all changes and told which: set notify")
	case "smtp_alert":
		c.leave(s, "sluice sends no mail: notify runs a program")
	case "virtual_routes", "virtual_rules":
		c.leave(s, "routes and rules do not move with addresses")
	default:
		c.unknown(s)
	}
}

// flags are the words behind an address that stand alone; the other words have
// a value.
var flags = []string{"no_track", "home", "mngtmpaddr", "noprefixroute", "autojoin", "optimistic", "nodad", "-nodad", "use_vmac"}

// readVIPs takes in addresses, each with its words behind it.
func (c *configuration) readVIPs(v *instance, of *statement) {
	for _, line := range of.block {
		for i := 0; i < len(line.words); i++ {
			w := line.words[i]
			addr, ok := prefix(w.text)
			switch {
			case ok:
				v.vips = append(v.vips, vip{addr: addr, at: w.at})
			case len(v.vips) == 0 || i == 0:
				c.fault(w.at, "virtual_ipaddress: "+quote(w.text)+" is not an IP address", "write one such as 192.0.2.3/24")
				return
			case w.text == "dev":
				i++
				v.vips[len(v.vips)-1].interfaceName = line.word(i)
			case slices.Contains(flags, w.text):
				c.note(w.at, "%s of %s: not translated", quote(w.text), v.vips[len(v.vips)-1].addr)
			default:
				i++
				if w.text == "label" || w.text == "brd" || w.text == "broadcast" || w.text == "scope" {
					continue // has no effect on what clients see
				}
				c.note(w.at, "%s of %s: not translated", quote(w.text+" "+line.word(i)), v.vips[len(v.vips)-1].addr)
			}
		}
	}
}

// command is the program of a notify statement, with its arguments.
func (c *configuration) command(s *statement) []string {
	if len(s.words) > 2 {
		c.leave(s, "the user is not taken: it runs as the process of the virtual clusters")
	} else {
		c.leave(s, "it is given other arguments than by keepalived")
	}
	return strings.Fields(s.word(1))
}
