package steering

import (
	"net/netip"
	"slices"

	"sluice/internal/config"
	"sluice/loader"
	"sluice/steering/ring"
)

// service is one VIP and port. Its id goes with VIP, port and mode: the flows
// of another mode could not be translated, so a change of mode is another
// service that takes the address over in one store.
type service struct {
	id     loader.ServiceID
	record loader.Service
	phase  phase
	name   string
	// settings are the ones in force; zero if it is not named.
	settings config.Service
	// members are those the settings name, in their order.
	members []loader.MemberID
	ring    Ring
	// second has the second choices, if chosen; nil until they are needed.
	second Ring
	chosen bool
	// layout is who the ring was last laid out for, if laid; otherwise what
	// stands in the ring is not known to be a layout of anything.
	layout []ring.Member
	laid   bool
}

// phase is where a service is in its life.
type phase int

const (
	// phaseRemoved: the settings no longer name it, its flows live on.
	phaseRemoved phase = iota
	// phaseNamed: the settings name it.
	phaseNamed
	// phaseReplaced: its address belongs to a service of another mode, so no
	// packet reaches its flows any more.
	phaseReplaced
)

func (s service) lastResort() bool {
	return s.settings.LastResort == config.LastResortDraining
}

// oneWay reports whether the dataplane sees the client's packets only, so that
// a flow whose backend closed it still counts.
func (s service) oneWay() bool { return s.record.Mode.OneWay() }

// passesTable reports whether packets may go by the ring without a look at the
// flow table.
func (s service) passesTable() bool { return s.oneWay() && !s.record.TwoChoices }

// steers reports whether the service has backends. Mode sshd without nodes ends
// on this node.
func (s service) steers() bool { return s.record.Mode != loader.ModeSSHD }

// modes are the words of the settings for the modes of the dataplane.
var modes = map[config.Mode]loader.Mode{
	config.ModeNAT:  loader.ModeNAT,
	config.ModeDSR:  loader.ModeDSR,
	config.ModeSSHD: loader.ModeSSHD,
	config.ModeIPIP: loader.ModeIPIP,
	config.ModeGUE:  loader.ModeGUE,
}

// recordOf returns what the dataplane is told of a service.
func recordOf(s config.Service) loader.Service {
	r := loader.Service{
		Listen:     s.Listen,
		Mode:       modes[s.Carrier()],
		Nodes:      s.Spread(),
		KeepClient: s.Mode == config.ModeNAT && s.ClientAddress == config.ClientKeep,
		Proxy:      s.Mode == config.ModeNAT && s.ClientAddress == config.ClientProxyV2,
		ByClient:   s.Select == config.SelectClient,
		TwoChoices: s.Select == config.SelectConnections,
	}
	if r.Mode != loader.ModeNAT || r.KeepClient {
		return r
	}
	r.Pool = s.SourcePool
	if len(r.Pool) == 0 {
		r.Pool = []netip.Addr{s.Listen.Addr()}
	}
	return r
}

func sameRecord(a, b loader.Service) bool {
	return a.Listen == b.Listen && a.Mode == b.Mode && a.KeepClient == b.KeepClient &&
		a.Proxy == b.Proxy && a.ByClient == b.ByClient && a.TwoChoices == b.TwoChoices &&
		a.Removed == b.Removed && a.Nodes == b.Nodes && a.Local == b.Local && slices.Equal(a.Pool, b.Pool)
}
