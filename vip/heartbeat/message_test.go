package heartbeat_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/vip/auth"
	"sluice/vip/auth/authtest"
	"sluice/vip/heartbeat"
)

// signer signs as testdata is signed.
func signer() *auth.Signer { return auth.NewSigner(authtest.Keys(), authtest.Clock()) }

func path(source, destination string) heartbeat.Path {
	return heartbeat.Path{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination)}
}

// full is a message with everything, least one with nothing that can be left out.
func full() heartbeat.Message {
	return heartbeat.Message{
		Cluster: "inside-and-outside", Node: "fw-a", Versions: heartbeat.Versions{Own: 1, Oldest: 1},
		Boot: 0x0102030405060708, Sequence: 1000, Term: 3, State: heartbeat.Active, BasePriority: 200, Priority: 150,
		Flags: heartbeat.Healthy | heartbeat.PingsOK | heartbeat.LinksOK | heartbeat.Synced | heartbeat.Resign,
		Pings: []heartbeat.Ping{heartbeat.PingOK, heartbeat.PingFailed, heartbeat.PingUnknown}, Generation: 42,
		Claim: 7, Grant: 0x01020304, Open: 287500 * time.Microsecond,
		VIPs: heartbeat.VIPHash{0, 1, 2, 3, 4, 5, 6, 7}, Program: "v1.2 (test)",
		Echo: heartbeat.Echo{Boot: 0x1112131415161718, Sequence: 999, Ago: 100250 * time.Microsecond, Heard: 0xf0000000000000ff, Span: 64},
	}
}

func least() heartbeat.Message {
	return heartbeat.Message{Cluster: "c", Node: "n", Versions: heartbeat.Ours, Boot: 1, Sequence: 1}
}

// vector is a message and the datagram that it is.
type vector struct {
	name     string
	path     heartbeat.Path
	message  heartbeat.Message
	datagram []byte
}

// vectors are the rows of testdata/vectors.txt, which testdata/vectors.py made.
func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]heartbeat.Message{"least": least(), "full": full()}
	var list []vector
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), " ")
		datagram, err := hex.DecodeString(f[4])
		if err != nil || messages[f[0]].Cluster != f[3] {
			t.Fatalf("%v in %q", err, line)
		}
		list = append(list, vector{f[0], path(f[1], f[2]), messages[f[0]], datagram})
	}
	if len(list) != len(messages) {
		t.Fatalf("%d vectors", len(list))
	}
	return list
}

// Both ways from the same row: what is sent, and what is understood.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			made, err := heartbeat.Append([]byte("before"), &v.message, 1, v.path, signer())
			if want := append([]byte("before"), v.datagram...); err != nil || !bytes.Equal(made, want) {
				t.Errorf("made\n%x, want\n%x; %v", made, want, err)
			}
			got, refusal := heartbeat.Parse(v.datagram, v.path, v.message.Cluster, authtest.Keys())
			if refusal != heartbeat.Accepted || !reflect.DeepEqual(got, v.message) {
				t.Errorf("%v, understood\n%+v, want\n%+v", refusal, got, v.message)
			}
		})
	}
}

// anyMessage is one of all that can be sent.
func anyMessage(r *rand.Rand) heartbeat.Message {
	text := func(most int, letters string) string {
		b := make([]byte, most)
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	m := heartbeat.Message{
		Cluster: text(1+r.IntN(63), "abcXYZ019-_."), Node: text(1+r.IntN(63), "abcXYZ019-_."), Versions: heartbeat.Ours,
		Boot: heartbeat.NewBoot(), Sequence: 1 + r.Uint64N(1<<60), Term: r.Uint64(), State: heartbeat.State(r.IntN(4)),
		BasePriority: uint8(r.IntN(256)), Priority: uint8(r.IntN(256)), Flags: heartbeat.Flags(r.IntN(64)),
		Generation: r.Uint64(), Program: text(r.IntN(33), "v1. -()"),
	}
	for range r.IntN(65) {
		m.Pings = append(m.Pings, heartbeat.Ping(r.IntN(3)))
	}
	for i := range m.VIPs {
		m.VIPs[i] = byte(r.Uint32())
	}
	if r.IntN(2) == 0 {
		m.Claim, m.Grant = r.Uint32(), r.Uint32()
		m.Open = time.Duration(r.Uint32()) * time.Microsecond
	}
	if r.IntN(2) == 0 {
		m.Echo = heartbeat.Echo{
			Boot: heartbeat.NewBoot(), Sequence: 1 + r.Uint64N(1<<60), Ago: time.Duration(r.Uint32()) * time.Microsecond,
			Heard: r.Uint64(), Span: uint8(r.IntN(65)),
		}
	}
	return m
}

// What is sent is understood as it was meant, and fits a datagram.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	p, with, set := path("169.254.1.1", "169.254.1.0"), signer(), authtest.Keys()
	for range 20_000 {
		m := anyMessage(r)
		b, err := heartbeat.Append(nil, &m, 1, p, with)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if len(b) > 400 {
			t.Fatalf("%d bytes", len(b))
		}
		got, refusal := heartbeat.Parse(b, p, m.Cluster, set)
		if refusal != heartbeat.Accepted || !reflect.DeepEqual(got, m) {
			t.Fatalf("%v, sent\n%+v, understood\n%+v", refusal, m, got)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	for name, change := range map[string]func(*heartbeat.Message){
		"no cluster":       func(m *heartbeat.Message) { m.Cluster = "" },
		"long cluster":     func(m *heartbeat.Message) { m.Cluster = strings.Repeat("c", 64) },
		"blank in cluster": func(m *heartbeat.Message) { m.Cluster = "a b" },
		"no node":          func(m *heartbeat.Message) { m.Node = "" },
		"long node":        func(m *heartbeat.Message) { m.Node = strings.Repeat("n", 64) },
		"newline in node":  func(m *heartbeat.Message) { m.Node = "a\nb" },
		"escape in node":   func(m *heartbeat.Message) { m.Node = "a\x1b[31m" },
		"not UTF-8":        func(m *heartbeat.Message) { m.Node = "a\xff" },
		"boot 0":           func(m *heartbeat.Message) { m.Boot = 0 },
		"sequence 0":       func(m *heartbeat.Message) { m.Sequence = 0 },
		"state":            func(m *heartbeat.Message) { m.State = 4 },
		"65 pings":         func(m *heartbeat.Message) { m.Pings = make([]heartbeat.Ping, 65) },
		"ping result":      func(m *heartbeat.Message) { m.Pings = []heartbeat.Ping{3} },
		"long program":     func(m *heartbeat.Message) { m.Program = strings.Repeat("v", 33) },
		"tab in program":   func(m *heartbeat.Message) { m.Program = "v\t1" },
		"echo of nothing":  func(m *heartbeat.Message) { m.Echo.Boot = 0 },
		"echo of 0":        func(m *heartbeat.Message) { m.Echo.Sequence = 0 },
		"echo of 65":       func(m *heartbeat.Message) { m.Echo.Span = 65 },
		"echo from later":  func(m *heartbeat.Message) { m.Echo.Ago = -1 },
		"version":          func(m *heartbeat.Message) { m.Versions = heartbeat.Versions{Own: 3, Oldest: 2} },
		"versions":         func(m *heartbeat.Message) { m.Versions = heartbeat.Versions{Own: 1, Oldest: 2} },
		"oldest 0":         func(m *heartbeat.Message) { m.Versions.Oldest = 0 },
	} {
		m := full()
		change(&m)
		if b, err := heartbeat.Append([]byte("before"), &m, 1, path("fe80::1", "fe80::2"), signer()); err == nil || string(b) != "before" {
			t.Errorf("%s: %v, %x", name, err, b)
		}
	}
	m := full()
	for _, p := range []heartbeat.Path{path("fe80::1", "192.0.2.1"), path("192.0.2.1", "fe80::1"), {}} {
		if _, err := heartbeat.Append(nil, &m, 1, p, signer()); err == nil {
			t.Errorf("%v: taken", p)
		}
	}
}

func TestHashVIPs(t *testing.T) {
	a := heartbeat.HashVIPs([]string{"192.0.2.3 eth0", "2001:db8::3 eth0"})
	if b := heartbeat.HashVIPs([]string{"2001:db8::3 eth0", "192.0.2.3 eth0"}); a != b {
		t.Error("the order counts")
	}
	for _, other := range [][]string{nil, {"192.0.2.3 eth0"}, {"192.0.2.3 eth0", "2001:db8::4 eth0"}, {"192.0.2.3 eth02001:db8::3 eth0"}} {
		if heartbeat.HashVIPs(other) == a {
			t.Errorf("%q is taken for the same", other)
		}
	}
}

func TestHeartbeatAllocates(t *testing.T) {
	v, with, set := vectors(t)[1], signer(), authtest.Keys()
	var b []byte
	if n := testing.AllocsPerRun(1000, func() {
		var err error
		if b, err = heartbeat.Append(b[:0], &v.message, 1, v.path, with); err != nil {
			t.Fatal(err)
		}
		if _, refusal := heartbeat.Parse(b, v.path, v.message.Cluster, set); refusal != heartbeat.Accepted {
			t.Fatal(refusal)
		}
	}); n > 12 {
		t.Errorf("%v allocations for a heartbeat sent and understood", n)
	}
}
