package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"sluice/internal/config"
	"sluice/steering/health"
)

// Probed is what dialling a backend once has shown.
type Probed struct {
	Service, Backend string
	Addr             netip.AddrPort
	// Found is what an operator may read of it, Err why the backend would be
	// down. Skipped says that it was not dialled, and Found why.
	Found   string
	Skipped bool
	Err     error
}

// Probe dials every backend of the settings once, as its service's health check
// would, and says what it found. It is for the moment before users meet them.
func Probe(ctx context.Context, s *config.Settings) []Probed {
	var out []Probed
	targets := map[int]health.Target{}
	for _, service := range s.Services {
		for _, b := range service.Backends {
			p := Probed{Service: service.Name, Backend: b.Name, Addr: b.Addr}
			switch {
			case service.Carrier().OneWay():
				p.Skipped, p.Found = true, fmt.Sprintf("not dialled: in mode %s only a running gateway can", service.Mode)
			case service.HealthCheck.Type == config.HealthCheckOff:
				p.Skipped, p.Found = true, "not dialled: its health_check is off"
			default:
				targets[len(out)] = probeTarget(&service, b)
			}
			out = append(out, p)
		}
	}
	var tasks sync.WaitGroup
	for i, t := range targets {
		tasks.Go(func() {
			o := health.Probe(ctx, t)
			out[i].Err, out[i].Found = o.Err, o.Identification
			if o.Err == nil && t.Proxy {
				out[i].Found += ", accepts PROXY v2"
			}
		})
	}
	tasks.Wait()
	return out
}

// probeTarget is a backend as its service's check dials it.
func probeTarget(s *config.Service, b config.Backend) health.Target {
	t := health.Target{
		Name: b.Addr.String(), Backend: b.Addr, Dial: b.Addr,
		Proxy:    s.ClientAddress == config.ClientProxyV2,
		Settings: health.Settings{Type: health.Type(s.HealthCheck.Type), Timeout: s.HealthCheck.Timeout},
	}
	if s.ClientAddress.Hides() {
		t.Sources = slices.Clone(s.SourcePool)
		if len(t.Sources) == 0 {
			t.Sources = []netip.Addr{s.Listen.Addr()}
		}
	}
	return t
}
