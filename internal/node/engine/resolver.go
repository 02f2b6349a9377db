package engine

import (
	"net/netip"

	"sluice/loader"
	"sluice/steering/nexthop"
)

type addr = netip.Addr

// acquirer is the resolver as a table takes it. What id an earlier process had
// for an address the resolver finds out itself, from the member records.
type acquirer struct{ *nexthop.Resolver }

// Acquire implements steering.Resolver.
func (a acquirer) Acquire(to netip.Addr, _ loader.NextHopID) (loader.NextHopID, error) {
	return a.Resolver.Acquire(to)
}
