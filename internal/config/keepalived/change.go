package keepalived

import (
	"fmt"
	"strings"
	"time"
)

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
