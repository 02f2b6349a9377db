// Package nft reads what `nft -j list ruleset` prints, and iptables-save, as far as
// it tells which destination a rule is about and what becomes of a packet.
package nft

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Rule is where a rule stands.
type Rule struct {
	Family, Table, Chain string
	Handle               int
}

// Place names table and chain as nft's own commands do.
func (r Rule) Place() string { return r.Family + " " + r.Table + " " + r.Chain }

// String names the rule for people.
func (r Rule) String() string { return fmt.Sprintf("rule %d of %s", r.Handle, r.Place()) }

// Match is a rule with the destinations it asks for.
type Match struct {
	Rule
	conditions []condition
	sets       map[setKey][]any
}

// setKey names a set; rules see those of their own table.
type setKey struct{ family, table, name string }

// ruleset is the part of nft's JSON that is read.
type ruleset struct {
	Nftables []struct {
		Chain *struct {
			Family, Table, Name, Hook string
		}
		Set *struct {
			Family, Table, Name string
			Elem                []any
		}
		Rule *struct {
			Family, Table, Chain string
			Handle               int
			Expr                 []struct{ Match *condition }
		}
	}
}

// condition is one comparison of a rule.
type condition struct {
	Op    string
	Left  any
	Right any
}

// nft's JSON has one shape for many things: a value may be a string, a number,
// an object that says what it is, or a list of those. So the sides of a
// comparison stay as decoded and are asked what they are when it matters.

// Parse returns the rules that packets arriving at an interface may meet. What
// it does not understand it takes as matching nothing. The text may be from
// any version of nft.
func Parse(text []byte) ([]Match, error) {
	var all ruleset
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read nft ruleset: %v", err)
	}
	sets := make(map[setKey][]any)
	output := make(map[setKey]bool)
	for _, item := range all.Nftables {
		if s := item.Set; s != nil {
			sets[setKey{s.Family, s.Table, s.Name}] = s.Elem
		}
		// What this machine itself sends does not come by XDP.
		if c := item.Chain; c != nil && c.Hook == "output" {
			output[setKey{c.Family, c.Table, c.Name}] = true
		}
	}
	var rules []Match
	for _, item := range all.Nftables {
		r := item.Rule
		if r == nil || output[setKey{r.Family, r.Table, r.Chain}] {
			continue
		}
		m := Match{Rule: Rule{r.Family, r.Table, r.Chain, r.Handle}, sets: sets}
		for _, e := range r.Expr {
			if e.Match != nil {
				m.conditions = append(m.conditions, *e.Match)
			}
		}
		rules = append(rules, m)
	}
	return rules, nil
}

// Names says whether the rule asks for this destination: for the address at
// least, and for no other port.
func (m Match) Names(to netip.AddrPort) bool {
	named := false
	for _, c := range m.conditions {
		if c.Op == "!=" {
			continue // who is left out is not named
		}
		fields := fieldsOf(c.Left)
		hit, about := m.holds(c.Right, fields, to)
		if about && !hit {
			return false
		}
		for _, f := range fields {
			named = named || f == "daddr" && hit
		}
	}
	return named
}

// fieldsOf returns the header fields of a comparison's left side, one or, of a
// concatenation, several; "" for what is not a field of a header.
func fieldsOf(left any) []string {
	side, _ := left.(map[string]any)
	if parts, ok := side["concat"].([]any); ok {
		var fields []string
		for _, part := range parts {
			fields = append(fields, fieldsOf(part)...)
		}
		return fields
	}
	payload, _ := side["payload"].(map[string]any)
	field, _ := payload["field"].(string)
	protocol, _ := payload["protocol"].(string)
	if field == "dport" && protocol != "tcp" && protocol != "th" {
		return []string{foreignPort}
	}
	return []string{field}
}

// foreignPort is a port of another protocol than TCP.
const foreignPort = "foreign dport"

// holds compares a right side. about says that the comparison is about the
// destination at all.
func (m Match) holds(right any, fields []string, to netip.AddrPort) (hit, about bool) {
	for _, f := range fields {
		about = about || f == "daddr" || f == "dport" || f == foreignPort
	}
	if !about {
		return false, false
	}
	for _, v := range m.values(right) {
		if m.equal(v, fields, to) {
			return true, true
		}
	}
	return false, true
}

// values opens sets, named and anonymous.
func (m Match) values(right any) []any {
	switch v := right.(type) {
	case string:
		if name, isSet := strings.CutPrefix(v, "@"); isSet {
			return m.sets[setKey{m.Family, m.Table, name}]
		}
	case []any:
		return v
	case map[string]any:
		if list, ok := v["set"].([]any); ok {
			return list
		}
	}
	return []any{right}
}

// equal compares one value, or the parts of a concatenation with their fields.
func (m Match) equal(value any, fields []string, to netip.AddrPort) bool {
	object, _ := value.(map[string]any)
	if elem, ok := object["elem"].(map[string]any); ok { // one with a timeout or counter
		return m.equal(elem["val"], fields, to)
	}
	parts := []any{value}
	if list, ok := object["concat"].([]any); ok {
		parts = list
	}
	if len(parts) != len(fields) {
		return false
	}
	for i, field := range fields {
		switch field {
		case "daddr":
			if !holdsAddr(parts[i], to.Addr()) {
				return false
			}
		case foreignPort:
			return false
		case "dport":
			if !holdsPort(parts[i], to.Port()) {
				return false
			}
		}
	}
	return true
}
