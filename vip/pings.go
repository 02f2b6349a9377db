package vip

import (
	"context"
	"time"

	"sluice/vip/heartbeat"
)

// pings are the cluster's ping items.
type pings struct{ c *cluster }

func newPings(c *cluster) (*pings, error) { return &pings{c}, nil }

func (p *pings) start(context.Context) {}

func (p *pings) probe(time.Duration) {}

func (p *pings) failed() (names []string, all bool) { return nil, false }

func (p *pings) results() []heartbeat.Ping { return nil }

func (p *pings) status() []PingStatus { return nil }
