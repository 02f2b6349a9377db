package health

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func TestPenalises(t *testing.T) {
	for identification, want := range map[string]bool{
		"SSH-2.0-OpenSSH_10.0p2 Debian-7~bpo12+1": true,
		"SSH-2.0-OpenSSH_9.8":                     true,
		"SSH-2.0-OpenSSH_9.9p2":                   true,
		"SSH-2.0-OpenSSH_9.10":                    true,
		"SSH-2.0-OpenSSH_for_Windows_9.8":         true,
		"SSH-2.0-OpenSSH_9.7p1":                   false,
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10": false,
		"SSH-2.0-OpenSSH_8.10":                    false,
		"SSH-2.0-OpenSSH_for_Windows_8.6":         false,
		"SSH-2.0-OpenSSH_":                        false,
		"SSH-2.0-OpenSSH_10":                      false,
		"SSH-2.0-OpenSSH_x.9":                     false,
		"SSH-2.0-OpenSSH_9.x":                     false,
		"SSH-2.0-OpenSSH_99999999999999999999.1":  false,
		"SSH-2.0-dropbear_2022.83":                false,
		"SSH-2.0-Go":                              false,
		"":                                        false,
	} {
		if got := penalises(identification); got != want {
			t.Errorf("penalises(%q) = %v, want %v", identification, got, want)
		}
	}
}

func TestPaceWaits(t *testing.T) {
	var p pace
	a, b := netip.MustParseAddrPort("10.0.0.11:22"), netip.MustParseAddrPort("10.0.0.12:22")
	now := time.Now()
	for i := range 4 {
		if w := p.wait(a, now); w != 0 {
			t.Fatalf("check %d waits %v, want none", i, w)
		}
		p.charge(a, now)
	}
	if got, want := p.wait(a, now), 5*penalty-overdraft; got != want {
		t.Errorf("wait = %v, want %v", got, want)
	}
	if w := p.wait(b, now); w != 0 {
		t.Errorf("another server waits %v", w)
	}
	if w := p.wait(a, now.Add(time.Hour)); w != 0 {
		t.Errorf("wait an hour later = %v", w)
	}
	p.keep(map[netip.AddrPort]bool{b: true})
	if len(p.accounts) != 0 {
		t.Errorf("accounts of servers that are gone: %v", p.accounts)
	}
}

// sshd's own account (srclimit.c of 10.0): a second for a connection, a second
// less each second, and trouble from 15 s on. Whatever the intervals of however
// many targets at one server, we stay far below.
func TestPaceKeepsOffPenalties(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var p pace
		server := netip.MustParseAddrPort("10.0.0.11:22")
		begin := time.Now()
		due := make([]time.Duration, rng.IntN(20)+1)
		interval := time.Duration(rng.IntN(2000)+10) * time.Millisecond
		var expiry, now time.Duration // of sshd's penalty
		for now < 5*time.Minute {
			next := 0
			for i := range due {
				if due[i] < due[next] {
					next = i
				}
			}
			now = max(now, due[next])
			if w := p.wait(server, begin.Add(now)); w > 0 {
				due[next] = now + w
				continue
			}
			p.charge(server, begin.Add(now))
			expiry = max(expiry, now) + time.Second
			if owed := expiry - now; owed > 6*time.Second {
				t.Fatalf("%d targets each %v: %v owed after %v", len(due), interval, owed, now)
			}
			due[next] = now + interval
		}
		// Nor do we wait for longer than need be.
		if len(due) == 1 && interval > penalty && p.wait(server, begin.Add(now)) > 0 {
			t.Errorf("one target each %v has to wait", interval)
		}
	}
}
