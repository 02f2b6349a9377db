package engine

import (
	"fmt"

	"sluice/internal/config"
	"sluice/loader"
)

// Decap is what takes packets out of those they come in, on a backend.
type Decap = loader.Decap

// OpenDecap loads or adopts the program for the settings, below the directory of
// pins. Where they ask for none it takes away what is left of one and returns
// nil.
func OpenDecap(pins string, s config.Dataplane) (*Decap, error) {
	if !s.Decap.Enabled() {
		return nil, loader.DetachDecap(pins)
	}
	d, err := loader.OpenDecap(loader.DecapOptions{
		Dir: pins, Interfaces: s.Decap.Interfaces, XDP: loader.XDPMode(s.XDP), From: s.Decap.From, VIPs: s.Decap.VIPs,
	})
	if err != nil {
		return nil, fmt.Errorf("open decapsulation: %v", err)
	}
	return d, nil
}
