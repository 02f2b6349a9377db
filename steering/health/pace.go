package health

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pace keeps checks below what OpenSSH takes for an attack.
//
// From 9.8 on sshd keeps account of each source address (PerSourcePenalties).
// A connection that ends without an attempt to log in costs "noauth:1s", and it
// costs so however it ends: measured with 10.0p1, closing before or after the
// banner, a reset, an identification string alone and a proper DISCONNECT are
// all charged alike, since sshd-session exits with 255 in each case. There is
// no polite way out; only the rate counts. The account runs down by one second
// each second and nothing happens below "min:15s", so one check each 2 s was
// never punished, one per second just not either, and two per second were after
// 15 s: for a minute sshd then answers "Not allowed at this time" to everybody
// with our address, which with client_address hide are all clients.
//
// The same account is kept here. A check that would overdraw it is late.
type pace struct {
	mu       sync.Mutex
	accounts map[netip.AddrPort]account
}

// account is what one server holds against us.
type account struct {
	owed time.Duration
	at   time.Time
}

const (
	// penalty is what a check costs; a little more than the server counts, for
	// its clock is not ours.
	penalty = 1100 * time.Millisecond
	// overdraft is how much may be owed. It lies far below the server's 15 s
	// since clients that share our address add to the same account.
	overdraft = 5 * time.Second
)

// wait returns how long a check of server has to wait.
func (p *pace) wait(server netip.AddrPort, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[server]
	if !ok {
		return 0
	}
	return max(0, a.left(now)+penalty-overdraft)
}

// charge notes a connection that the server made us pay for. Several services
// may check one server; they share its account.
func (p *pace) charge(server netip.AddrPort, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accounts == nil {
		p.accounts = make(map[netip.AddrPort]account)
	}
	p.accounts[server] = account{owed: p.accounts[server].left(now) + penalty, at: now}
}

// keep drops the accounts of servers that are checked no more.
func (p *pace) keep(checked map[netip.AddrPort]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for server := range p.accounts {
		if !checked[server] {
			delete(p.accounts, server)
		}
	}
}

func (a account) left(now time.Time) time.Duration { return max(0, a.owed-now.Sub(a.at)) }

// penalises says whether a server that names itself so keeps accounts. Its
// version cannot be hidden by sshd_config.
func penalises(identification string) bool {
	_, software, ok := strings.Cut(identification, "-OpenSSH_")
	if !ok {
		return false
	}
	software = strings.TrimPrefix(software, "for_Windows_")
	majorText, rest, ok := strings.Cut(software, ".")
	if !ok {
		return false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	major, err := strconv.Atoi(majorText)
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(rest[:end])
	return err == nil && (major > 9 || major == 9 && minor >= 8)
}
