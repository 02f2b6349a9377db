package loader

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// mirrored is how many random clients of each family are compared.
const mirrored = 10_000

// testMirror: Go's hash names the ring entry and the line that the program
// uses. Each entry of the ring of this service names a member of its own.
func testMirror(t *testing.T, r *rig) {
	r.plain(t, []kind{counted}, func(t *testing.T, s stand) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		entries := map[int]int{}
		for range mirrored {
			client := s.randomClient(random)
			entry := s.mirror(t, client)
			entries[entry]++
			if t.Failed() {
				t.Fatalf("client %s, seed %d", client, seed)
			}
		}
		// 10 000 balls in 65 537 bins fill 9 276 on average, give or take 25.
		if n := len(entries); n < 9100 || n > 9450 {
			t.Errorf("%d clients fell on %d entries of the ring; the hash is not even", mirrored, n)
		}
	})
}

func (s stand) randomClient(random *rand.Rand) netip.AddrPort {
	b := s.family.client.As16()
	for i := 13; i < 16; i++ {
		b[i] = byte(random.Uint32())
	}
	if s.vip.Is6() {
		for i := range 13 {
			b[i] = byte(random.Uint32())
		}
		b[0] = 0x20
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), uint16(1+random.IntN(65535)))
}

// mirror completes a handshake of a client and compares where it went.
func (s stand) mirror(t *testing.T, client netip.AddrPort) int {
	t.Helper()
	f := frame.Frame{Src: client, Dst: s.svc.Listen, Flags: frame.SYN, Seq: 1}
	syn := build(t, f)
	f.Flags, f.Seq = frame.ACK, 2
	ack := build(t, f)
	s.inside(func() {
		for _, in := range [][]byte{syn, ack} {
			if _, _, err := s.run(s.ext, in); err != nil {
				t.Error(err)
			}
		}
	})
	entry := s.d.FlowHash(client, s.svc)
	flow, ok, err := s.d.Find(s.id, client)
	mustRig(t, err)
	switch {
	case !ok:
		t.Error("the flow is in none of the lines that Go's hash names")
	case flow.Line == NoLine:
		t.Error("the flow is in the overflow table; its lines were free")
	case flow.Member != MemberID(uint16(entry+1)):
		t.Errorf("the program took entry %d of the ring, Go's hash names %d", flow.Member-1, entry)
	default:
		mustRig(t, s.d.objs.Flows.Put(flow.Line, &bpfFlow{}))
	}
	return entry
}
