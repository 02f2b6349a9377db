package loader

import (
	"encoding/hex"
	"net/netip"
)

// ConnectionID is what a PROXY header names a connection by, zero where there is
// none. It is made of the cluster's key, both addresses and ports and the
// client's initial sequence number, so that every gateway and every repetition
// of the header says the same.
type ConnectionID [16]byte

// String is the id in hexadecimal, empty for none.
func (c ConnectionID) String() string {
	if c == (ConnectionID{}) {
		return ""
	}
	return hex.EncodeToString(c[:])
}

// connectionID is that of a client's connection to a service. Where the service
// is gone there is none.
func (d *Dataplane) connectionID(id ServiceID, client netip.AddrPort, isn uint32) ConnectionID {
	d.mu.Lock()
	s, ok := d.services[id]
	d.mu.Unlock()
	if !ok {
		return ConnectionID{}
	}
	return d.key.connection(client, d.key.salt(s.Listen), isn)
}
