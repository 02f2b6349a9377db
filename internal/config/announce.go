package config

import "time"

// Announce is how the network is told who has the VIPs: by gratuitous ARP and
// unsolicited neighbour advertisements.
type Announce struct {
	// Repeat is how many are sent for each VIP at a take-over and, Delay later (up
	// to 1m, 0 for never), again, 1 to 32.
	Repeat int
	Delay  time.Duration
	// Refresh is the time between further ones while active, 1s to 24h; 0 for none.
	Refresh time.Duration
}

var announceShape = record[Announce]{
	noun:     "a mapping about announcements",
	doc:      "What tells the network who has the virtual addresses.",
	defaults: defaults.VirtualCluster.Announce,
	fields: []field[Announce]{
		key("repeat", "How many are sent for each address at a take-over, and as many after delay.",
			func(a *Announce) *int { return &a.Repeat }, integer(1, 32)),
		key("delay", "Time until they are sent again; 0s for never.",
			func(a *Announce) *time.Duration { return &a.Delay }, duration(0, time.Minute)),
		key("refresh", "Time between further ones while active; 0s for none.",
			func(a *Announce) *time.Duration { return &a.Refresh }, orNever(duration(time.Second, 24*time.Hour))),
	},
}
