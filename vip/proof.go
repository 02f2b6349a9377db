package vip

import (
	"fmt"

	"sluice/vip/auth"
)

// proof is how adverts show that they come from the cluster. keys are nil where
// none are needed.
type proof struct {
	mode auth.Mode
	keys *auth.Keys
}

func (c Cluster) proof() (proof, error) {
	mode, err := auth.ParseMode(string(c.Auth.Mode))
	if err != nil {
		return proof{}, err
	}
	keys, err := c.keys()
	if err != nil {
		return proof{}, err
	}
	if mode != auth.Off && keys == nil {
		return proof{}, fmt.Errorf("adverts are to be signed (%s), but there is no key", mode)
	}
	return proof{mode, keys}, nil
}

// prove goes on with other keys or another mode. Sequences go on as well: peers
// take none that is older than what they had.
func (l *lan) prove(p proof) {
	l.mode = p.mode
	if p.keys == nil {
		return
	}
	window := auth.DefaultWindow(l.c.plan.AdvertInterval)
	if l.signer == nil {
		l.signer = auth.NewSigner(p.keys, l.c.d.clock)
		l.verifier = auth.NewVerifier(p.keys, window, l.c.d.clock)
		return
	}
	l.signer.Use(p.keys)
	l.verifier.Use(p.keys, window)
}
