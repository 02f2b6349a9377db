package keepalived

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// server is a virtual server of LVS.
type server struct {
	at          position
	listens     []netip.AddrPort
	group       string // in place of listens
	kind, algo  string
	gue         bool
	protocol    string // empty is UDP
	persistence bool
	delay       time.Duration
	reals       []*real
}

// serverGroup is a named list of what virtual servers listen on.
type serverGroup struct{ listens []netip.AddrPort }

// maxRange bounds the addresses of one line.
const maxRange = 256

// readTargets takes in a group of what virtual servers listen on.
func (c *configuration) readTargets(of *statement) {
	g := &serverGroup{}
	for _, s := range of.block {
		if s.keyword() == "fwmark" {
			c.leave(s, "packets are known by address and port, not by a mark")
			continue
		}
		g.listens = append(g.listens, c.listen(s, 0)...)
	}
	c.targets[of.word(1)] = g
}

// listen reads ADDRESS PORT, where the last number of the address may be a
// range, from the i-th word of a statement on.
func (c *configuration) listen(s *statement, i int) (all []netip.AddrPort) {
	first, last, ranges := strings.Cut(s.word(i), "-")
	addr := c.address(s.at, "virtual_server", first)
	port := 0
	if len(s.words) > i+1 {
		port = c.port(s, s.word(i+1))
	}
	if !addr.IsValid() {
		return nil
	}
	if port == 0 {
		c.leave(s, "a service has one port")
		return nil
	}
	n := 1
	if ranges {
		base, bits := 10, 8
		if addr.Is6() {
			base, bits = 16, 16
		}
		bytes := addr.AsSlice()
		from := int(bytes[len(bytes)-1])
		if addr.Is6() {
			from |= int(bytes[len(bytes)-2]) << 8
		}
		to, err := strconv.ParseUint(last, base, bits)
		if err != nil || int(to) < from || int(to)-from >= maxRange {
			c.fault(s.at, quote(s.word(i))+" is not a range of addresses", "write one of at most 256, such as 192.0.2.3-9")
			return nil
		}
		n = int(to) - from + 1
	}
	for range n {
		all = append(all, netip.AddrPortFrom(addr, uint16(port)))
		addr = addr.Next()
	}
	return all
}

// readServer takes in a virtual server.
func (c *configuration) readServer(of *statement) {
	v := &server{at: of.at, algo: "wlc", delay: time.Minute}
	switch of.word(1) {
	case "fwmark":
		c.leave(of, "packets are known by address and port, not by a mark")
		return
	case "group":
		v.group = of.word(2)
	default:
		v.listens = c.listen(of, 1)
	}
	for _, s := range of.block {
		if read, known := serverWords[s.keyword()]; known {
			read(c, v, s)
		} else {
			c.unknown(s)
		}
	}
	c.servers = append(c.servers, v)
}

// serverWords are what a virtual server may say that has a counterpart.
var serverWords = map[string]func(*configuration, *server, *statement){
	"lb_kind":    readKind,
	"lvs_method": readKind,
	"lb_algo":    func(_ *configuration, v *server, s *statement) { v.algo = s.word(1) },
	"lvs_sched":  func(_ *configuration, v *server, s *statement) { v.algo = s.word(1) },
	"protocol":   func(_ *configuration, v *server, s *statement) { v.protocol = strings.ToUpper(s.word(1)) },
	"delay_loop": func(c *configuration, v *server, s *statement) { v.delay = c.seconds(s) },
	"persistence_timeout": func(c *configuration, v *server, s *statement) {
		v.persistence = true
		c.leave(s, "select: client sends all flows of a client to one backend by its address, without end")
	},
	"sorry_server": func(c *configuration, _ *server, s *statement) {
		c.leave(s, "with no backend up new flows are dropped and counted")
	},
	"real_server": (*configuration).readReal,
}

func readKind(c *configuration, v *server, s *statement) {
	v.kind = strings.ToUpper(s.word(1))
	var options []string
	for _, w := range s.words[min(2, len(s.words)):] {
		options = append(options, w.text)
	}
	v.gue = slices.Equal(options, []string{"type", "gue", "port", "6080"})
	if len(options) > 0 && !v.gue {
		c.leave(s, "a tunnel is IPIP, or GUE to port 6080")
	}
}
