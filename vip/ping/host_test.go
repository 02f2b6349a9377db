package ping

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// script drives a group by echoes: each host has a letter a step, '.' for an
// answer, 'x' for none, '!' for one that cannot be sent. It returns a letter per
// step and host, and one for the item: 'U'p and 'D'own, small while not known.
func script(t *testing.T, fall, rise int, hosts ...string) (perHost []string, item string, g *group) {
	t.Helper()
	i := Item{Name: "outside", Interface: "ext0", Interval: time.Second, Timeout: time.Second / 2, Fall: fall, Rise: rise}
	for n := range hosts {
		i.Hosts = append(i.Hosts, netip.AddrFrom4([4]byte{198, 51, 100, byte(n + 1)}))
	}
	i, err := i.check()
	if err != nil {
		t.Fatal(err)
	}
	g = newGroup(i)
	now := time.Unix(1000, 0)
	perHost = make([]string, len(hosts))
	for step := range hosts[0] {
		for n, h := range g.hosts {
			if !h.due(now) || h.lost(now) {
				t.Fatalf("step %d: no echo is due", step)
			}
			e := newEcho(uint16(step))
			h.send(now, e)
			changed := false
			switch hosts[n][step] {
			case '.':
				changed = h.hear(now.Add(5*time.Millisecond), e)
			case '!':
				changed = h.fail(now, "no way")
			default:
				if h.lost(now.Add(i.Timeout - 1)) {
					t.Fatalf("step %d: lost too early", step)
				}
				if !h.lost(now.Add(i.Timeout)) {
					t.Fatalf("step %d: not lost in time", step)
				}
				changed = h.miss(now.Add(i.Timeout))
			}
			if changed {
				g.judge(now)
			}
			perHost[n] += letter(!h.down, h.known)
		}
		s := g.status()
		item += letter(s.OK, s.Known)
		now = now.Add(i.Interval)
	}
	return perHost, item, g
}

func letter(up, known bool) string {
	s := "D"
	if up {
		s = "U"
	}
	if !known {
		s = strings.ToLower(s)
	}
	return s
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name       string
		fall, rise int
		hosts      []string
		verdicts   []string
		item       string
		fails      uint64
	}{
		{"it answers", 3, 2, []string{"...."}, []string{"UUUU"}, "UUUU", 0},
		{"it never answers", 3, 2, []string{"xxxx"}, []string{"uuDD"}, "uuDD", 1},
		{"down after fall misses", 3, 2, []string{".xxxx"}, []string{"UUUDD"}, "UUUDD", 1},
		{"an answer between", 3, 2, []string{".xx.xx.xxx"}, []string{"UUUUUUUUUD"}, "UUUUUUUUUD", 1},
		{"up after rise answers", 2, 3, []string{"xx...."}, []string{"uDDDUU"}, "uDDDUU", 1},
		{"a miss between", 2, 3, []string{"xx..x..."}, []string{"uDDDDDDU"}, "uDDDDDDU", 1},
		{"one is enough", 1, 1, []string{".x.x"}, []string{"UDUD"}, "UDUD", 2},
		{"what cannot be sent is a miss", 2, 1, []string{".!!."}, []string{"UUDU"}, "UUDU", 1},
		{
			"one of three is down", 2, 2,
			[]string{".xxxxx", "......", "......"},
			[]string{"UUDDDD", "UUUUUU", "UUUUUU"}, "UUUUUU", 0,
		},
		{
			"two of three are down", 2, 2,
			[]string{".xxxxx", "......", "..xxxx"},
			[]string{"UUDDDD", "UUUUUU", "UUUDDD"}, "UUUUUU", 0,
		},
		{
			"a common outage and its end", 2, 2,
			[]string{".xxx..", ".xxx..", ".xxx.."},
			[]string{"UUDDDU", "UUDDDU", "UUDDDU"}, "UUDDDU", 1,
		},
		{
			"the last one goes later, the first comes back", 2, 1,
			[]string{".xxxx.", "...xxx"},
			[]string{"UUDDDU", "UUUUDD"}, "UUUUDU", 1,
		},
		{
			"one is not known yet", 3, 1,
			[]string{"xx", ".."},
			[]string{"uu", "UU"}, "UU", 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			verdicts, item, g := script(t, c.fall, c.rise, c.hosts...)
			if fmt.Sprint(verdicts) != fmt.Sprint(c.verdicts) || item != c.item {
				t.Errorf("hosts %v, item %s; want %v, %s", verdicts, item, c.verdicts, c.item)
			}
			if g.fails != c.fails {
				t.Errorf("it failed %d times, want %d", g.fails, c.fails)
			}
		})
	}
}

func TestFlappingIsCounted(t *testing.T) {
	_, _, g := script(t, 1, 1, strings.Repeat("x.", 50)+"x")
	s := g.status()
	if s.Fails != 51 || s.Hosts[0].Downs != 51 {
		t.Errorf("%d fails, %d downs", s.Fails, s.Hosts[0].Downs)
	}
	if h := s.Hosts[0]; h.Sent != 101 || h.Answered != 50 || h.Recent != 64 || h.Lost != 32 || h.RTT != 5*time.Millisecond {
		t.Errorf("status %+v", h)
	}
}

func TestStatusOfAFault(t *testing.T) {
	_, _, g := script(t, 3, 1, ".!")
	if h := g.status().Hosts[0]; h.Fault != "no way" || h.Lost != 1 || h.Recent != 2 {
		t.Errorf("status %+v", h)
	}
	_, _, g = script(t, 3, 1, ".!.")
	if h := g.status().Hosts[0]; h.Fault != "" {
		t.Errorf("the fault stays: %+v", h)
	}
}

// Only the answer to the echo under way counts, and it once.
func TestAnswersOfOtherEchoes(t *testing.T) {
	i := Item{Interval: time.Second, Timeout: time.Second, Fall: 1, Rise: 1}
	h := newHost(netip.MustParseAddr("192.0.2.1"), i)
	now := time.Unix(1000, 0)
	first, second := newEcho(1), newEcho(2)
	h.hear(now, echo{})
	h.send(now, first)
	guess := first
	guess.nonce[0] ^= 1
	other := first
	other.seq++
	h.hear(now, guess)
	h.hear(now, other)
	h.hear(now, echo{})
	if h.answered != 0 || !h.under {
		t.Fatal("a wrong answer counts")
	}
	now = now.Add(time.Second)
	h.miss(now)
	h.hear(now, first)
	if h.answered != 0 {
		t.Fatal("a late answer counts")
	}
	h.send(now, second)
	h.hear(now, first)
	if h.answered != 0 {
		t.Fatal("a late answer counts for the next echo")
	}
	h.hear(now, second)
	h.hear(now, second)
	if h.answered != 1 {
		t.Fatalf("%d answers", h.answered)
	}
}

// Echoes keep their rhythm, and none are sent in a burst after a pause.
func TestRhythm(t *testing.T) {
	i := Item{Interval: time.Second, Timeout: time.Second, Fall: 1, Rise: 1}
	h := newHost(netip.MustParseAddr("192.0.2.1"), i)
	start := time.Unix(1000, 0)
	h.send(start, newEcho(1))
	h.hear(start, h.echo)
	if h.wake() != start.Add(time.Second) {
		t.Fatalf("the second echo is due at %s", h.wake())
	}
	late := start.Add(1300 * time.Millisecond)
	h.send(late, newEcho(2))
	h.hear(late, h.echo)
	if h.wake() != start.Add(2*time.Second) {
		t.Errorf("the third echo is due at %s", h.wake())
	}
	paused := start.Add(time.Minute)
	h.send(paused, newEcho(3))
	h.hear(paused, h.echo)
	if h.wake() != paused.Add(time.Second) || h.due(paused) {
		t.Errorf("after the pause the next is due at %s", h.wake())
	}
}
