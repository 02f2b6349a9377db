package loader

import (
	"encoding/hex"
	"net/netip"
)

// connectionID is what a PROXY header names the connection of a client to a
// service by, in hexadecimal: made of the cluster's key, both addresses and
// ports and the client's initial sequence number, so that every gateway and
// every repetition of the header says the same. It is empty where the service
// is gone.
func (d *Dataplane) connectionID(id ServiceID, client netip.AddrPort, isn uint32) string {
	d.mu.Lock()
	s, ok := d.services[id]
	d.mu.Unlock()
	if !ok {
		return ""
	}
	b := d.key.connection(client, d.key.salt(s.Listen), isn)
	return hex.EncodeToString(b[:])
}
