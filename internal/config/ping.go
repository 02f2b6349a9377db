package config

import (
	"net/netip"
	"time"
)

// minPing is the least interval and timeout of a ping.
const minPing = 50 * time.Millisecond

// Ping is what must answer: it fails when none of its hosts does.
type Ping struct {
	Interface string
	// Hosts are 1 to MaxHosts addresses.
	Hosts []netip.Addr
	// Interval is the time between two requests to a host, and Timeout how long
	// each waits for its answer, 50ms to 1m both, and at most Interval.
	Interval, Timeout time.Duration
	// Fall is how many requests in a row a host must fail to answer until it counts
	// as silent, Rise how many it must answer for the reverse, 1 to 100.
	Fall, Rise int
}

var pingShape = record[Ping]{
	noun:     "a mapping about a ping",
	doc:      "Hosts of which one must answer.",
	defaults: defaults.Ping,
	fields: []field[Ping]{
		key("interface", "Interface that the requests leave by.",
			func(p *Ping) *string { return &p.Interface }, interfaceName).must(),
		key("hosts", "Addresses; the ping fails when none of them answers.",
			func(p *Ping) *[]netip.Addr { return &p.Hosts },
			list[netip.Addr]{of: address(), noun: "addresses", least: 1, most: MaxHosts}).must(),
		key("interval", "Time between two requests to a host.",
			func(p *Ping) *time.Duration { return &p.Interval }, duration(minPing, time.Minute)),
		key("timeout", "How long a request waits for its answer.",
			func(p *Ping) *time.Duration { return &p.Timeout }, duration(minPing, time.Minute)),
		key("fall", "Requests in a row without an answer until a host counts as silent.",
			func(p *Ping) *int { return &p.Fall }, integer(1, 100)),
		key("rise", "Answers in a row until it counts as there again.",
			func(p *Ping) *int { return &p.Rise }, integer(1, 100)),
	},
}
