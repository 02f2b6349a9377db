package heartbeat_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"sluice/vip/auth/authtest"
	"sluice/vip/heartbeat"
)

// sign makes a datagram of any body, with its length put right.
func sign(body []byte, p heartbeat.Path, cluster string) []byte {
	body = bytes.Clone(body)
	binary.BigEndian.PutUint16(body[8:], uint16(len(body)))
	source, destination := p.Source.As16(), p.Destination.As16()
	pseudo := append([]byte("sluice heartbeat"), source[:]...)
	pseudo = append(append(pseudo, destination[:]...), byte(len(cluster)))
	return signer().Append(body, append(pseudo, cluster...), body)
}

// body is the full vector without its trailer.
func body(t testing.TB) (vector, []byte) {
	v := vectors(t)[1]
	return v, v.datagram[:len(v.datagram)-28]
}

// Whoever has the key can still send nonsense, and is told apart from a stranger.
func TestAuthenticNonsense(t *testing.T) {
	v, good := body(t)
	const afterCluster = 10 + 1 + len("inside-and-outside")
	const node = afterCluster + 46
	fields := node + 1 + len("fw-a")
	cut := func(n int) []byte { return good[:n] }
	with := func(at int, value byte) []byte { b := bytes.Clone(good); b[at] = value; return b }
	add := func(more ...byte) []byte { return append(bytes.Clone(good), more...) }
	instead := func(more ...byte) []byte { return append(bytes.Clone(good[:fields]), more...) }
	for name, row := range map[string]struct {
		body []byte
		want heartbeat.Refusal
	}{
		"untouched":           {good, heartbeat.Accepted},
		"no fields":           {cut(fields), heartbeat.Accepted},
		"unknown field":       {add(200, 0, 3, 1, 2, 3), heartbeat.Accepted},
		"field 0":             {add(0, 0, 1, 1), heartbeat.Accepted},
		"unknown empty field": {add(6, 0, 0), heartbeat.Accepted},
		"open of 3 bytes":     {add(5, 0, 3, 0, 0, 0), heartbeat.Malformed},
		"claim of 7 bytes":    {add(4, 0, 7, 0, 0, 0, 0, 0, 0, 0), heartbeat.Malformed},
		"unknown flags":       {with(afterCluster+44, 0xff), heartbeat.Accepted},
		"newer peer":          {with(4, 9), heartbeat.Accepted},
		"reserved":            {with(7, 1), heartbeat.Accepted},
		"version 2":           {func() []byte { b := with(4, 2); b[6] = 2; return b }(), heartbeat.UnsupportedVersion},
		"version 0":           {func() []byte { b := with(5, 0); b[6] = 0; return b }(), heartbeat.Malformed},
		"version beyond own":  {with(6, 2), heartbeat.Malformed},
		"older than oldest":   {func() []byte { b := with(4, 3); b[5] = 2; return b }(), heartbeat.Malformed},
		"boot 0":              {func() []byte { b := bytes.Clone(good); clear(b[afterCluster : afterCluster+8]); return b }(), heartbeat.Malformed},
		"sequence 0":          {func() []byte { b := bytes.Clone(good); clear(b[afterCluster+8 : afterCluster+16]); return b }(), heartbeat.Malformed},
		"unknown state":       {with(afterCluster+40, 4), heartbeat.Malformed},
		"empty node":          {with(node, 0), heartbeat.Malformed},
		"control in node":     {with(node+1, 7), heartbeat.Malformed},
		"node beyond end":     {with(node, 255), heartbeat.Malformed},
		"cut in the middle":   {cut(afterCluster + 20), heartbeat.Malformed},
		"cut in a field head": {add(9, 0), heartbeat.Malformed},
		"field beyond end":    {add(9, 0, 9, 1), heartbeat.Malformed},
		"pings twice":         {add(1, 0, 1, 1), heartbeat.Malformed},
		"ping result 3":       {instead(1, 0, 1, 3), heartbeat.Malformed},
		"no pings":            {instead(1, 0, 0), heartbeat.Malformed},
		"65 pings":            {instead(append([]byte{1, 0, 65}, make([]byte, 65)...)...), heartbeat.Malformed},
		"empty program":       {instead(2, 0, 0), heartbeat.Malformed},
		"control in program":  {instead(2, 0, 1, 27), heartbeat.Malformed},
		"program of 33":       {instead(append([]byte{2, 0, 33}, strings.Repeat("v", 33)...)...), heartbeat.Malformed},
		"short echo":          {instead(append([]byte{3, 0, 28}, make([]byte, 28)...)...), heartbeat.Malformed},
		"echo of boot 0":      {instead(append([]byte{3, 0, 29}, make([]byte, 29)...)...), heartbeat.Malformed},
		"longer echo":         {instead(append([]byte{3, 0, 31}, append(good[len(good)-29:len(good):len(good)], 9, 9)...)...), heartbeat.Accepted},
		"too long":            {append(bytes.Clone(good), append([]byte{9, 4, 76}, make([]byte, 1100)...)...), heartbeat.TooLong},
	} {
		m, refusal := heartbeat.Parse(sign(row.body, v.path, v.message.Cluster), v.path, v.message.Cluster, authtest.Keys())
		if refusal != row.want {
			t.Errorf("%s: %v, want %v", name, refusal, row.want)
		}
		if refusal != heartbeat.Accepted && m.Node != "" {
			t.Errorf("%s: refused, but tells %+v", name, m)
		}
		if refusal == heartbeat.UnsupportedVersion && m.Versions != (heartbeat.Versions{Own: 2, Oldest: 1}) {
			t.Errorf("%s: versions %+v", name, m.Versions)
		}
		if refusal == heartbeat.Accepted && m.Flags != v.message.Flags && m.Flags != 0x2f {
			t.Errorf("%s: flags %#x", name, m.Flags)
		}
	}
}

// Every bit is signed, and so are the conversation and the length.
func TestTampered(t *testing.T) {
	for _, v := range vectors(t) {
		cluster := v.message.Cluster
		for bit := range 8 * len(v.datagram) {
			b := bytes.Clone(v.datagram)
			b[bit/8] ^= 1 << (bit % 8)
			if m, refusal := heartbeat.Parse(b, v.path, cluster, authtest.Keys()); refusal == heartbeat.Accepted || m.Versions != (heartbeat.Versions{}) {
				t.Errorf("%s: bit %d of byte %d: %v", v.name, bit%8, bit/8, refusal)
			}
		}
		for n := range len(v.datagram) {
			if _, refusal := heartbeat.Parse(v.datagram[:n], v.path, cluster, authtest.Keys()); refusal == heartbeat.Accepted {
				t.Errorf("%s: took the first %d bytes", v.name, n)
			}
		}
		back := heartbeat.Path{Source: v.path.Destination, Destination: v.path.Source}
		for name, row := range map[string]struct {
			datagram []byte
			path     heartbeat.Path
			cluster  string
			want     heartbeat.Refusal
		}{
			"reflected":      {v.datagram, back, cluster, heartbeat.BadMAC},
			"other peer":     {v.datagram, heartbeat.Path{Source: v.path.Source, Destination: path("fe80::3", "fe80::3").Source}, cluster, heartbeat.BadMAC},
			"other cluster":  {v.datagram, v.path, cluster + "x", heartbeat.OtherCluster},
			"no cluster":     {v.datagram, v.path, "", heartbeat.OtherCluster},
			"a byte more":    {append(bytes.Clone(v.datagram), 0), v.path, cluster, heartbeat.Unsigned},
			"unsigned":       {v.datagram[:len(v.datagram)-28], v.path, cluster, heartbeat.Unsigned},
			"cut":            {v.datagram[:len(v.datagram)-29], v.path, cluster, heartbeat.Truncated},
			"empty":          {nil, v.path, cluster, heartbeat.UnknownProtocol},
			"magic only":     {[]byte("SLHB"), v.path, cluster, heartbeat.Truncated},
			"something else": {[]byte("GET / HTTP/1.1\r\n\r\n"), v.path, cluster, heartbeat.UnknownProtocol},
			"huge":           {make([]byte, 1233), v.path, cluster, heartbeat.TooLong},
		} {
			if _, refusal := heartbeat.Parse(row.datagram, row.path, row.cluster, authtest.Keys()); refusal != row.want {
				t.Errorf("%s, %s: %v, want %v", v.name, name, refusal, row.want)
			}
		}
	}
}

// A socket for both families gives IPv4 addresses as IPv6 ones.
func TestMappedPath(t *testing.T) {
	v := vectors(t)[0]
	if _, refusal := heartbeat.Parse(v.datagram, path("::ffff:169.254.1.1", "::ffff:169.254.1.0"), "c", authtest.Keys()); refusal != heartbeat.Accepted {
		t.Error(refusal)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range heartbeat.Refusals {
		if r.String() == "" || seen[r.String()] || (r.Advice() == "") != (r == heartbeat.Accepted) {
			t.Errorf("refusal %d: %q, %q", r, r, r.Advice())
		}
		seen[r.String()] = true
	}
	for f := range heartbeat.Kinds {
		if f.String() == "" || seen[f.String()] {
			t.Errorf("freshness %d: %q", f, f)
		}
		seen[f.String()] = true
	}
	if heartbeat.Fault.String() != "fault" || heartbeat.HearingNo.String() != "no" {
		t.Error("states or hearing have other names")
	}
}

func TestSpeak(t *testing.T) {
	type v = heartbeat.Versions
	for _, row := range []struct {
		a, b   v
		spoken uint8
		ok     bool
	}{
		{v{1, 1}, v{1, 1}, 1, true},
		{v{3, 1}, v{1, 1}, 1, true}, // talks down to an older one
		{v{3, 2}, v{4, 3}, 3, true},
		{v{3, 3}, v{2, 1}, 2, false},
	} {
		for _, swap := range []bool{false, true} {
			if swap {
				row.a, row.b = row.b, row.a
			}
			if spoken, ok := row.a.Speak(row.b); spoken != row.spoken || ok != row.ok {
				t.Errorf("%v with %v: %d, %v", row.a, row.b, spoken, ok)
			}
		}
	}
}
