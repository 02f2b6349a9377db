package config

import (
	"net/netip"
	"time"
)

// Dataplane is about the XDP programs and their tables.
type Dataplane struct {
	// Interfaces are the names of those that carry VIP traffic, at most
	// MaxInterfaces. Empty means those that hold a VIP or route to a backend.
	Interfaces []string
	XDP        XDPMode
	// MaxFlows is how many flows can be established at a time, from 1024 to
	// 16777216. A change takes effect with the next start and ends the flows
	// that are established then.
	MaxFlows  int
	Lifetimes Lifetimes
	// Watchdog is how long the node process may stay away before this machine is no
	// longer eligible for its VIPs, 1s to 1h.
	Watchdog time.Duration
	Decap    Decap
}

// Decap makes this node, a backend of services in mode ipip or gue, take their
// packets out of those they come in. All of it is set or nothing.
type Decap struct {
	// Interfaces are those that the packets of gateways come in by, at most
	// MaxInterfaces. None of them is one of Dataplane.Interfaces.
	Interfaces []string
	// From are the addresses that gateways have outside, at most MaxPrefixes.
	From []netip.Prefix
	// VIPs are the addresses of this node that packets are taken out for, at
	// most MaxDecapVIPs.
	VIPs []netip.Addr
}

// Enabled says that packets are taken out at all.
func (d Decap) Enabled() bool { return len(d.Interfaces) > 0 }

// XDPMode is where in the kernel the XDP programs run.
type XDPMode string

// The modes of XDP.
const (
	XDPAuto    XDPMode = "auto"    // in the driver where it can, else generic
	XDPNative  XDPMode = "native"  // in the driver, or not at all
	XDPGeneric XDPMode = "generic" // behind the driver: slow, works everywhere
)

// Lifetimes are how long a flow is remembered after its last packet.
type Lifetimes struct {
	Established time.Duration // open in both directions, 1m to 720h
	HalfClosed  time.Duration // one side has closed, 1s to 1h
	Closed      time.Duration // both sides have closed, or one has reset, 1s to 10m
	Embryo      time.Duration // the handshake is not finished, 1s to 10m
}

var dataplaneShape = record[Dataplane]{
	noun:     "a mapping about the dataplane",
	doc:      "The XDP programs and their tables.",
	defaults: defaults.Dataplane,
	fields: []field[Dataplane]{
		key("interfaces", "Interfaces that carry traffic of virtual addresses.",
			func(d *Dataplane) *[]string { return &d.Interfaces },
			list[string]{of: interfaceName, noun: "interfaces", most: MaxInterfaces}).
			otherwise("those that hold a virtual address or route to a backend"),
		key("xdp", "Where the programs run: native (in the driver), generic (behind it, slow), or auto for the better one that works.",
			func(d *Dataplane) *XDPMode { return &d.XDP }, choice(XDPAuto, XDPNative, XDPGeneric)),
		key("max_flows", "How many flows can be established at a time.",
			func(d *Dataplane) *int { return &d.MaxFlows }, integer(1024, 16777216)).restarts(),
		key("lifetimes", "How long a flow is remembered after its last packet.",
			func(d *Dataplane) *Lifetimes { return &d.Lifetimes }, lifetimesShape),
		key("watchdog", "How long the node process may stay away before the machine is no longer eligible for its virtual addresses.",
			func(d *Dataplane) *time.Duration { return &d.Watchdog }, duration(time.Second, time.Hour)),
		key("decap", "Takes packets of modes ipip and gue out of those they come in, on a backend whose kernel has no tunnel device.",
			func(d *Dataplane) *Decap { return &d.Decap }, decapShape),
	},
}

var decapShape = record[Decap]{
	noun: "a mapping about packets inside others",
	doc:  "Takes packets of modes ipip and gue out of those they come in, on a backend whose kernel has no tunnel device.",
	fields: []field[Decap]{
		key("interfaces", "Interfaces that the gateways' packets come in by.",
			func(d *Decap) *[]string { return &d.Interfaces },
			list[string]{of: interfaceName, noun: "interfaces", most: MaxInterfaces}).otherwise("none: nothing is taken out"),
		key("from", "Addresses that the gateways have outside. What comes from others is dropped.",
			func(d *Decap) *[]netip.Prefix { return &d.From }, prefixes).otherwise("none"),
		key("vips", "Virtual addresses on lo of this backend. What is for others is left as it is.",
			func(d *Decap) *[]netip.Addr { return &d.VIPs },
			list[netip.Addr]{of: address(), noun: "addresses", most: MaxDecapVIPs}).otherwise("none"),
	},
}

var lifetimesShape = record[Lifetimes]{
	noun:     "a mapping of time spans",
	doc:      "How long a flow is remembered after its last packet.",
	defaults: defaults.Dataplane.Lifetimes,
	fields: []field[Lifetimes]{
		key("established", "Open in both directions. Idle SSH sessions live for days.",
			func(l *Lifetimes) *time.Duration { return &l.Established }, duration(time.Minute, 720*time.Hour)),
		key("half_closed", "One side has closed.",
			func(l *Lifetimes) *time.Duration { return &l.HalfClosed }, duration(time.Second, time.Hour)),
		key("closed", "Both sides have closed, or one has reset.",
			func(l *Lifetimes) *time.Duration { return &l.Closed }, duration(time.Second, 10*time.Minute)),
		key("embryo", "The handshake is not finished.",
			func(l *Lifetimes) *time.Duration { return &l.Embryo }, duration(time.Second, 10*time.Minute)),
	},
}
