package flowsync

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// closed says whether the other end hung up.
func closed(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	_, err := c.Read(make([]byte, 1))
	return err == io.EOF || err == io.ErrClosedPipe
}

func dialAs(r *rig, from netip.Addr, to *node) net.Conn {
	r.t.Helper()
	c, err := r.net.dial(from, to.addr)(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func TestStrangersAreTurnedAway(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		settle(time.Second)
		c := dialAs(r, netip.MustParseAddr("169.254.1.9"), b)
		synctest.Wait()
		if !closed(t, c) {
			t.Error("a stranger's connection is open")
		}
	})
}

// Who says nothing is given up; who keeps many such open does not keep the peer
// out.
func TestHalfOpenConnections(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		settle(time.Second)
		a.table.put(flow(1, 1))
		r.net.sever(a.addr, b.addr, false)
		var silent []net.Conn
		for range 3 * maxHalfOpen {
			silent = append(silent, dialAs(r, a.addr, b))
			synctest.Wait()
		}
		open := 0
		for _, c := range silent {
			if !closed(t, c) {
				open++
			}
		}
		if open != maxHalfOpen {
			t.Errorf("%d are open", open)
		}
		settle(time.Second)
		r.same(a, b)
		settle(handshakeTime)
		for _, c := range silent {
			if !closed(t, c) {
				t.Error("a silent connection is open")
			}
		}
	})
}

// A connection replaces another only when it has proven the key, and then the
// other is gone.
func TestANewConnectionTakesThePlaceOfTheOld(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.table.put(flow(1, 1))
		settle(time.Second)
		raw := dialAs(r, a.addr, b)
		conn, err := seal.Dial(raw, testKey, "gw-a", "gw-b")
		if err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if !a.send(b).Connected || a.send(b).Connects != 1 {
			t.Fatal("a connection that proved nothing replaced another")
		}
		var rec wire.Record
		rec.Reset(1)
		rec.Add(wire.Hello{})
		if err := conn.WriteRecord(rec.Bytes()); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ReadRecord(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a.send(b).Connected {
			t.Error("the old connection is still there")
		}
		settle(time.Second) // now the real one is back, in its turn
		if !a.send(b).Connected || !closed(t, raw) {
			t.Errorf("%+v", a.send(b))
		}
		r.same(a, b)
	})
}

// A greeting must be the first thing, and numbers must follow each other.
func TestRecordsOutOfPlaceEndTheConnection(t *testing.T) {
	for name, numbers := range map[string][]uint64{"no greeting": {1}, "begins with 2": {2}, "one left out": {1, 3}, "one twice": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			pair(t, func(r *rig, a, b *node) {
				settle(time.Second)
				a.stop()
				a.stop = func() {}
				raw := dialAs(r, a.addr, b)
				conn, err := seal.Dial(raw, testKey, "gw-a", "gw-b")
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for {
						if _, err := conn.ReadRecord(); err != nil {
							raw.Close()
							return
						}
					}
				}()
				var rec wire.Record
				for _, n := range numbers {
					rec.Reset(n)
					if name == "no greeting" {
						rec.Add(wire.Stop{})
					} else {
						rec.Add(wire.Hello{})
					}
					if conn.WriteRecord(rec.Bytes()) != nil {
						break
					}
				}
				synctest.Wait()
				if err := conn.WriteRecord(rec.Bytes()); err == nil {
					t.Error("the connection is open")
				}
			})
		})
	}
}

func TestAnotherKeyIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b")
		r.tune = func(o *Options) { o.Key[0] = o.Self[3] }
		a, b := r.nodes[0], r.nodes[1]
		a.table.put(flow(1, 1))
		r.start(a)
		r.start(b)
		r.roles(0, 1)
		settle(10 * time.Second)
		st := a.send(b)
		if st.Connected || b.table.len() != 0 || st.Error == "" || b.sync.Synced("edge") {
			t.Errorf("%+v", st)
		}
		t.Log(st.Error)
	})
}
