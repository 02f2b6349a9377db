package doctor

import (
	"context"
	"fmt"
	"strings"

	"sluice/internal/config"
	"sluice/internal/node/doctor/nft"
)

// maxRules is how many rules are named; the others are counted.
const maxRules = 10

// checkRuleset finds the nftables rules that an operator believes in and that
// no packet reaches any more: XDP takes VIP traffic before netfilter sees it.
// Mode sshd is left out, for it passes its packets up.
func checkRuleset(ctx context.Context, e *examination) {
	const subject = "nftables"
	steered := e.services(config.ModeNAT, config.ModeDSR, config.ModeIPIP, config.ModeGUE)
	if len(steered) == 0 {
		return
	}
	text, err := e.machine.Ruleset(ctx)
	if err != nil {
		e.warn(subject, err.Error(), "run doctor as root")
		return
	}
	if text == nil {
		e.pass(subject, "not installed: no rules to look at")
		return
	}
	rules, err := nft.Parse(text)
	if err != nil {
		e.warn(subject, err.Error(), "look yourself for rules that name a VIP: nft list ruleset")
		return
	}
	named := make(map[nft.Rule][]string)
	var order []nft.Rule
	for _, r := range rules {
		for _, s := range steered {
			if r.Names(s.Listen) {
				if named[r.Rule] == nil {
					order = append(order, r.Rule)
				}
				named[r.Rule] = append(named[r.Rule], s.Listen.String())
			}
		}
	}
	for i, r := range order {
		if i == maxRules {
			e.warn(subject, fmt.Sprintf("%d more rules name a VIP", len(order)-maxRules), "nft -a list ruleset")
			break
		}
		e.warn(subject, fmt.Sprintf("%s is about %s, which XDP steers before nftables: it no longer applies", r, strings.Join(named[r], ", ")),
			fmt.Sprintf("nft delete rule %s handle %d, and filter on the backends", r.Place(), r.Handle))
	}
	if len(order) == 0 {
		e.pass(subject, "no rule names a VIP and port that XDP steers")
	}
}
