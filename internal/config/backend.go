package config

import "net/netip"

// Backend is who serves the flows of a service. The same address and port
// under several services is one backend, with one name.
type Backend struct {
	// Name is how commands and counters call it. Default: what another service
	// calls the same address and port, or these as text.
	Name string
	Addr netip.AddrPort
	// Weight is its share of new flows relative to the others of the service,
	// 0 to MaxWeight; 0 gets none.
	Weight int
	// Local marks the one of a service's nodes that is this node. It is not in the
	// file.
	Local bool
}

var backendShape = record[Backend]{
	noun:     "a mapping about a backend, or its address and port",
	doc:      "Who serves the flows.",
	defaults: defaults.Backend,
	alone:    "addr",
	fields: []field[Backend]{
		key("name", "Name of the backend in commands and counters.",
			func(b *Backend) *string { return &b.Name }, serviceName).otherwise("the address and port"),
		key("addr", "IP address and port; the port may be left out and is 22 then.",
			func(b *Backend) *netip.AddrPort { return &b.Addr }, endpoint("22")).must(),
		key("weight", "Share of new flows relative to the other backends of the service; 0 gets none.",
			func(b *Backend) *int { return &b.Weight }, integer(0, MaxWeight)),
	},
}
