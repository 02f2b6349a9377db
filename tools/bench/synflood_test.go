package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/tools/bench/figure"
)

// A short siege: nobody of the crowd is lost, nothing grows, and the logins come
// through. How soon is the machine's affair.
func TestSynflood(t *testing.T) {
	nettest.Require(t, nettest.Program("sshd"), nettest.Program("ssh"))
	a := bench(t, "synflood", "--json", "--runs", "1", "--flows", "300", "--lasts", "1s", "--young", "1100ms", "--login-within", loginPatience.String())
	if len(a.Rows) != len(besiegedModes)*len(floods) {
		t.Errorf("%d rows", len(a.Rows))
	}
	for _, mode := range besiegedModes {
		for _, f := range floods {
			r := a.find(t, map[string]any{"mode": mode, "flood": f.name, "guard": "challenge", "flows": 300.0, "lost": 0.0, "evicted": 0.0, "holds": true})
			positive(t, r, "mpps", "arrived", "login_s", "entries_before", "entries_during", "entries_after", "memory_mb_before", "memory_mb_after")
			if r["login_s"] == loginPatience.Seconds() {
				t.Errorf("nobody could log in: %v", r)
			}
		}
	}
}

// What is not as promised is named, and is an error.
func TestPromises(t *testing.T) {
	o := floodOptions{login: 5 * time.Second}
	crowd := func(ports ...uint16) map[netip.AddrPort]bool {
		all := map[netip.AddrPort]bool{}
		for _, p := range ports {
			all[netip.AddrPortFrom(clientAddr, p)] = true
		}
		return all
	}
	good := func() blow {
		s := state{crowd: crowd(1, 2), entries: 2, memory: 100}
		return blow{sent: 1, lasted: 1, before: s, during: s, after: s, login: 5}
	}
	tests := []struct {
		name       string
		challenged bool
		change     func(*blow)
	}{
		{"none lost", false, func(b *blow) { b.lost = 1 }},
		{"none evicted", false, func(b *blow) { b.during.crowd = crowd(1, 3) }},
		{"none evicted", false, func(b *blow) { b.after.crowd = crowd(2) }},
		{"memory flat", false, func(b *blow) { b.during.memory = 102 }},
		{"memory flat", false, func(b *blow) { b.after.memory = 102 }},
		{"entries flat", true, func(b *blow) { b.during.entries = 2000 }},
		{"entries flat", true, func(b *blow) { b.after.entries = 2000 }},
		{"login in time", true, func(b *blow) { b.login = 5.1 }},
	}
	if got := (siege{challenge: true}).broken(good(), o); got != nil {
		t.Errorf("%q are broken, want nothing", got)
	}
	for _, test := range tests {
		bad := good()
		test.change(&bad)
		for _, challenge := range []bool{true, false} {
			s := siege{"dsr", challenge}
			var want []string
			if challenge || !test.challenged {
				want = []string{test.name}
			}
			if got := s.broken(bad, o); !slices.Equal(got, want) {
				t.Errorf("challenge %v: %q are broken, want %q", challenge, got, want)
			}
			row, err := s.row(floods[0], []blow{good(), bad}, o)
			if holds := row.Facts[0]; holds != (figure.Cell{Name: "holds", Value: want == nil}) {
				t.Errorf("%s: the row says %v", test.name, holds)
			}
			if want != nil && (err == nil || !strings.Contains(err.Error(), "dsr under few sources: not "+test.name)) {
				t.Errorf("%s: error %v", test.name, err)
			}
		}
	}
}
