package vip

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"sluice/vip/heartbeat"
	"sluice/vip/ping"
)

// pings are the cluster's ping items; the monitor is nil without any.
type pings struct {
	c       *cluster
	monitor *ping.Monitor
	// answered is when a host last answered, on the loop's clock.
	answered atomic.Int64
	// probed is when all were last asked beside the items.
	probed time.Duration
}

func newPings(c *cluster) (*pings, error) {
	p := &pings{c: c}
	if len(c.plan.Pings) == 0 {
		return p, nil
	}
	var items []ping.Item
	for i, item := range c.plan.Pings {
		items = append(items, ping.Item{
			Name: fmt.Sprintf("%d (%s)", i+1, item.Interface), Interface: item.Interface, Hosts: item.Hosts,
			Interval: item.Interval, Timeout: item.Timeout, Fall: item.Fall, Rise: item.Rise,
		})
	}
	var err error
	p.monitor, err = ping.New(items, func(ping.Status) {
		c.post(func(now time.Duration) { c.machine.Local(now, c.local()) })
	})
	if err != nil {
		return nil, err
	}
	p.monitor.OnAnswer(func() { p.answered.Store(int64(c.d.Now())) })
	return p, nil
}

func (p *pings) start(ctx context.Context) {
	if p.monitor == nil {
		return
	}
	p.c.spawn(func() {
		if err := p.monitor.Run(ctx); err != nil {
			p.c.log.Warn("pings not ended cleanly", "error", err)
		}
	})
}

// last is when a host last answered, 0 for never.
func (p *pings) last() time.Duration { return time.Duration(p.answered.Load()) }

// probe asks all hosts, twice in an advert interval: their answers show that this
// gateway is not cut off.
func (p *pings) probe(now time.Duration) {
	if p.monitor == nil || now-p.probed < p.c.plan.AdvertInterval/2 {
		return
	}
	p.probed = now
	p.monitor.Probe()
}

// failed names the items that fail, and says whether all do.
func (p *pings) failed() (names []string, all bool) {
	if p.monitor == nil {
		return nil, false
	}
	list := p.monitor.Snapshot()
	for _, s := range list {
		if !s.OK {
			names = append(names, s.Item)
		}
	}
	return names, len(names) == len(list)
}

// results are the items as peers are told of them.
func (p *pings) results() []heartbeat.Ping {
	if p.monitor == nil {
		return nil
	}
	var list []heartbeat.Ping
	for _, s := range p.monitor.Snapshot() {
		switch {
		case !s.OK:
			list = append(list, heartbeat.PingFailed)
		case s.Known:
			list = append(list, heartbeat.PingOK)
		default:
			list = append(list, heartbeat.PingUnknown)
		}
	}
	return list
}

func (p *pings) status() []PingStatus {
	if p.monitor == nil {
		return nil
	}
	var list []PingStatus
	for _, s := range p.monitor.Snapshot() {
		one := PingStatus{Interface: s.Interface, OK: s.OK}
		for _, h := range s.Hosts {
			host := PingHost{Addr: h.Addr, OK: h.Up, RTT: h.RTT, Flaps: h.Downs}
			if h.Recent > 0 {
				host.Loss = float64(h.Lost) / float64(h.Recent)
			}
			one.Hosts = append(one.Hosts, host)
		}
		list = append(list, one)
	}
	return list
}
