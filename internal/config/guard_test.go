package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestGuard(t *testing.T) {
	s := mustParse(t, `guard: {deny: [192.0.2.0/24, 198.51.100.7, "2001:db8::/32", "2001:db8::1"], exempt: [0.0.0.0/0],
syn_per_client: 300/m, flows_per_client: 12, challenge: off}`)
	want := Guard{
		Deny: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.7/32"),
			netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2001:db8::1/128"),
		},
		Exempt:       []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		SYNPerClient: Rate{300, time.Minute}, FlowsPerClient: 12, Challenge: ChallengeOff,
	}
	if diff := cmp.Diff(want, s.Guard, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestGuardFaults has one row for each way to get guard wrong.
func TestGuardFaults(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"name", "guard: {deny: [»example.org]}", `guard.deny[0]: "example.org" is not an IP address; write the address itself; names are not looked up`},
		{"bits", "guard: {deny: [»192.0.2.7/24]}", `guard.deny[0]: "192.0.2.7/24" has bits behind the first 24; write 192.0.2.0/24, or 192.0.2.7 for that one address`},
		{"too long", "guard: {deny: [»192.0.2.0/33]}", `guard.deny[0]: "192.0.2.0/33" is not a network; write one such as 192.0.2.0/24, or a single address`},
		{"mapped", "guard: {exempt: [»\"::ffff:192.0.2.0/120\"]}", `guard.exempt[0]: "::ffff:192.0.2.0/120" is an IPv4 network in IPv6 notation; write it in dots`},
		{"twice", "guard: {exempt: [10.0.0.1, »10.0.0.1/32]}", "guard.exempt[1]: repeats guard.exempt[0] (line 1); keep one of the two"},
		{"rate without a unit", "guard: {syn_per_client: »50}", `guard.syn_per_client: "50" is not a number in a time; write one such as 50/s, 300/m or 1000/h, up to a million`},
		{"rate in days", "guard: {syn_per_client: »50/d}", `guard.syn_per_client: "50/d" is not a number in a time; write one such as 50/s, 300/m or 1000/h, up to a million`},
		{"no rate", "guard: {syn_per_client: »0/s}", `guard.syn_per_client: "0/s" is out of limits; write one such as 50/s, 300/m or 1000/h, up to a million`},
		{"high rate", "guard: {syn_per_client: »1000001/s}", `guard.syn_per_client: "1000001/s" is out of limits; write one such as 50/s, 300/m or 1000/h, up to a million`},
		{"no flows", "guard: {flows_per_client: »0}", `guard.flows_per_client: "0" is not a whole number within limits; write one from 1 to 1000000`},
		{"challenge", "guard: {challenge: »on}", `guard.challenge: "on" is not known; known here: auto, off`},
		{"bans of later", "guard: {»ban: {}}", "guard.ban: unknown key; known here: deny, exempt, syn_per_client, flows_per_client, challenge"},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want) })
	}
}
