package heartbeat_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"sluice/vip/auth"
	"sluice/vip/auth/authtest"
	"sluice/vip/heartbeat"
)

func FuzzParseHeartbeat(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.datagram, v.message.Cluster)
		f.Add(v.datagram[:len(v.datagram)-auth.TrailerSize], v.message.Cluster)
	}
	f.Add([]byte{}, "")
	f.Add([]byte("SLHB\x01\x01\x01\x00\x00\x0c\x01c"), "c")
	f.Fuzz(func(t *testing.T, datagram []byte, cluster string) {
		p := path("fe80::1", "fe80::2")
		before := bytes.Clone(datagram)
		if _, refusal := heartbeat.Parse(datagram, p, cluster, authtest.Keys()); refusal == heartbeat.Accepted && !bytes.Equal(datagram, vectors(t)[1].datagram) {
			t.Fatalf("took what was not signed")
		}
		if !bytes.Equal(datagram, before) {
			t.Fatal("changed the datagram")
		}
		// The same as from a holder of the key: what is taken can be sent again.
		if len(datagram) < 10 || len(datagram) > 1<<16-1 || len(cluster) > 255 {
			return
		}
		m, refusal := heartbeat.Parse(sign(datagram, p, cluster), p, cluster, authtest.Keys())
		if refusal != heartbeat.Accepted {
			return
		}
		m.Versions = heartbeat.Ours
		again, err := heartbeat.Append(nil, &m, 1, p, signer())
		if err != nil {
			t.Fatalf("took what cannot be sent: %v", err)
		}
		if back, refusal := heartbeat.Parse(again, p, cluster, authtest.Keys()); refusal != heartbeat.Accepted || !reflect.DeepEqual(back, m) {
			t.Fatalf("%v: %+v became %+v", refusal, m, back)
		}
	})
}

// A million mangled heartbeats, or ten with SLUICE_TEST_FULL: no panic, none is
// taken that was not signed, and those that were change the link once only.
func TestMutatedHeartbeats(t *testing.T) {
	n := 1_000_000
	if os.Getenv("SLUICE_TEST_FULL") != "" {
		n = 10_000_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	list, set := vectors(t), authtest.Keys()
	link := heartbeat.NewLink(0x1112131415161718, time.Second)
	now := time.Unix(1, 0)
	var stamped heartbeat.Message
	for range 999 {
		link.Stamp(&stamped, now)
	}
	var checked, taken, fresh int
	buffer := make([]byte, 0, 4096)
	for range n {
		v := list[r.IntN(len(list))]
		b := authtest.Mutate(r, append(buffer[:0], v.datagram...), 10)
		m, refusal := heartbeat.Parse(b, v.path, v.message.Cluster, set)
		switch refusal {
		case heartbeat.BadMAC:
			checked++
		case heartbeat.Accepted:
			taken++
			if !bytes.Equal(b, v.datagram) {
				t.Fatalf("took what nobody signed: %+v of %x", m, b)
			}
			if link.Receive(&m, now).IsState() {
				fresh++
			}
		}
	}
	if checked < n/10 {
		t.Errorf("only %d of %d came as far as the signature: the test is too coarse", checked, n)
	}
	if fresh > 1 {
		t.Errorf("%d were fresh, only one was signed by a peer that hears us", fresh)
	}
	t.Logf("%d of %d came to the signature, %d were whole, %d fresh", checked, n, taken, fresh)
}
