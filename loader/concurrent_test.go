package loader_test

import (
	"net/netip"
	"sync"
	"testing"

	"sluice/loader"
)

// Everything a node does at the same time, while connections live: the race
// detector looks on.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["hide v4"])
	events := listenTo(t, g.dp)
	go func() {
		for range events {
		}
	}()
	load := startLoad(t, g, 2)
	const rounds = 30
	var group sync.WaitGroup
	for _, tasks := range []map[string]func(int) error{g.looks(t), g.changes(t)} {
		for name, task := range tasks {
			group.Go(func() {
				for i := range rounds {
					if err := task(i); err != nil {
						t.Errorf("%s, round %d: %v", name, i, err)
						return
					}
				}
			})
		}
	}
	group.Wait()
	load.waitFor(t, 1)
	load.stop(t)
	members, err := g.dp.Members()
	must(t, err)
	services, err := g.dp.Services()
	must(t, err)
	if len(members) != len(g.Backends) || len(services) != 1 {
		t.Errorf("%d members and %d services are left", len(members), len(services))
	}
}

// looks are what a node does to know.
func (g *gateway) looks(t *testing.T) map[string]func(int) error {
	gone := loader.Flow{Line: 5, Word: 1<<31 | 12345, Client: clientOf(1), Service: testService}
	return map[string]func(int) error{
		"scan": func(int) error {
			return g.dp.Scan(t.Context(), func(loader.Flow) bool { return true })
		},
		"expire": func(int) error {
			_, err := g.dp.Expire(t.Context())
			return err
		},
		"kill": func(int) error {
			_, err := g.dp.Kill([]loader.Flow{gone})
			return err
		},
		"find": func(i int) error {
			_, _, err := g.dp.Find(testService, clientOf(i))
			return err
		},
		"counters": func(int) error {
			if _, err := g.dp.MemberCounters(); err != nil {
				return err
			}
			_, err := g.dp.ServiceCounters()
			return err
		},
	}
}

// changes are what a node does to steer.
func (g *gateway) changes(t *testing.T) map[string]func(int) error {
	ring, err := g.dp.Ring(testService)
	must(t, err)
	return map[string]func(int) error{
		"members": func(i int) error {
			m := loader.Member{Service: testService, Addr: netip.MustParseAddrPort("10.0.0.99:22")}
			id := loader.MemberID(100 + i%3)
			if err := g.dp.PutMember(id, m); err != nil {
				return err
			}
			return g.dp.DeleteMember(id)
		},
		"services": func(i int) error {
			s := loader.Service{Listen: netip.AddrPortFrom(g.listen.Addr(), uint16(3000+i%3)), Mode: loader.ModeNAT}
			id := loader.ServiceID(10 + i%3)
			if err := g.dp.PutService(id, s); err != nil {
				return err
			}
			if _, err := g.dp.Ring(id); err != nil {
				return err
			}
			if err := g.dp.Publish(id); err != nil {
				return err
			}
			return g.dp.DeleteService(id)
		},
		"ring": func(i int) error {
			for e := range loader.RingEntries {
				ring.Set(e, loader.MemberID((e+i)%len(g.Backends)+1))
			}
			return nil
		},
		"routes": func(int) error { return g.dp.BumpRoutes() },
	}
}
