package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sluice/internal/node/doctor/nft"
)

// checkLegacy looks whether rules of iptables-legacy drop what gateways tell each
// other: the kernel keeps them beside those of nftables, and a packet must pass both.
func (e *examination) checkLegacy(ctx context.Context, list []message) {
	const subject = "legacy iptables"
	all, err := e.machine.LegacyTables(ctx)
	if err != nil {
		e.warn(subject, err.Error(), "run doctor as root")
	}
	for _, t := range all {
		program := "iptables-legacy"
		if t.IPv6 {
			program = "ip6tables-legacy"
		}
		tables := fmt.Sprintf("%s has tables (%s), which nft does not show", program, strings.Join(t.Names, ", "))
		hint := fmt.Sprintf("see yourself that IP protocol 112 and the ports of heartbeat and flow sync pass: %s-save, of package iptables", program)
		if t.Fault != "" {
			e.warn(subject, tables+": what they drop is not known: "+t.Fault, hint)
			continue
		}
		rules, err := nft.ParseSaved(t.Saved, t.IPv6)
		if err != nil {
			e.warn(subject, tables+": "+err.Error(), hint)
			continue
		}
		if !e.checkDropped(subject, list, rules, func(m message) string { return program + " " + m.legacyRule() }) {
			e.pass(subject, "%s; they drop no adverts, heartbeats or flow sync for certain", tables)
		}
	}
}

// legacyRule lets a message pass, in the words of iptables.
func (m message) legacyRule() string {
	chain, by := "INPUT", "-i "+m.link
	if m.at != nft.Input {
		chain, by = "OUTPUT", "-o "+m.link
	}
	what := map[uint8]string{112: "-p 112", 17: "-p udp --dport %d", 6: "-p tcp --dport %d"}[m.packet.Protocol]
	if m.packet.Port != 0 {
		what = fmt.Sprintf(what, m.packet.Port)
	}
	return fmt.Sprintf("-I %s %s %s -j ACCEPT", chain, by, what)
}

// LegacyTables implements [host].
func (system) LegacyTables(ctx context.Context) ([]legacyTables, error) {
	var list []legacyTables
	var errs []error
	for _, family := range []struct {
		file    string
		six     bool
		program string
	}{{"ip_tables_names", false, "iptables"}, {"ip6_tables_names", true, "ip6tables"}} {
		// Those of this thread's network namespace, not of the process's.
		text, err := os.ReadFile(filepath.Join("/proc/thread-self/net", family.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the kernel has none
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("list the tables of %s-legacy: %v", family.program, err))
			continue
		}
		names := strings.Fields(string(text))
		if len(names) == 0 {
			continue
		}
		t := legacyTables{IPv6: family.six, Names: names}
		if t.Saved, err = savedRules(ctx, family.program); err != nil {
			t.Fault = err.Error()
		}
		list = append(list, t)
	}
	return list, errors.Join(errs...)
}

// savedRules has the rules printed that iptables-legacy made, or ip6tables-legacy.
func savedRules(ctx context.Context, family string) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, rulesetTimeout)
	defer cancel()
	program, found := findProgram(family + "-legacy-save")
	if !found {
		// Where there is but one iptables-save, it is of either kind.
		if program, found = findProgram(family + "-save"); found {
			version, err := exec.CommandContext(bounded, program, "-V").Output()
			found = err == nil && !strings.Contains(string(version), "nf_tables")
		}
	}
	if !found {
		return nil, fmt.Errorf("%s-legacy-save is not installed", family)
	}
	return printed(bounded, program)
}
