package nft

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Hook is where netfilter looks at a packet.
type Hook string

// The hooks a packet passes that ends or begins on this machine; each also passes
// those of family netdev, "ingress" and "egress", of its interface.
const (
	Input  Hook = "input"
	Output Hook = "output"
	// Frame is what is sent as a whole frame: only "egress" sees it.
	Frame Hook = "frame"
)

// Walk says which rule, or which chain by its policy, drops a packet at a hook;
// ok is false where none does for certain. What a rule asks that is not understood
// counts as perhaps: such a rule neither drops for certain nor, where it would
// accept, lets a later rule do so.
func (r *Ruleset) Walk(at Hook, p Packet) (by string, ok bool) {
	for _, hook := range hooksOf(at) {
		for _, c := range r.at(hook, p) {
			w := walk{rules: r, packet: p}
			switch w.chain(c, 0) {
			case dropped:
				return w.by, true
			case accepted, perhaps:
			case passed:
				if c.policy == "drop" {
					return fmt.Sprintf("the policy of chain %s %s %s", c.key.family, c.key.table, c.key.name), true
				}
			}
		}
	}
	return "", false
}

func hooksOf(at Hook) []string {
	switch at {
	case Input:
		return []string{"ingress", "prerouting", "input"}
	case Frame:
		return []string{"egress"}
	default:
		return []string{"output", "postrouting", "egress"}
	}
}

// at returns the chains of a hook that see the packet, in their order.
func (r *Ruleset) at(hook string, p Packet) []*chain {
	var list []*chain
	for _, c := range r.chains {
		if c.hook == hook && c.sees(p) {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b *chain) int { return cmp.Compare(a.priority, b.priority) })
	return list
}

func (c *chain) sees(p Packet) bool {
	switch c.key.family {
	case "ip":
		return p.To.Is4()
	case "ip6":
		return p.To.Is6()
	case "inet":
		return c.hook != "ingress" || slices.Contains(c.devices, p.In)
	case "netdev":
		return slices.Contains(c.devices, p.In) || slices.Contains(c.devices, p.Out)
	}
	return false // bridges and ARP see other packets
}

// outcome is what a chain makes of a packet.
type outcome int

const (
	passed outcome = iota // to the end
	accepted
	dropped
	perhaps // cannot be told
)

// walk is one packet on its way.
type walk struct {
	rules  *Ruleset
	packet Packet
	by     string
	steps  int
}

const (
	// maxDepth is how deep chains may jump, in the kernel, too.
	maxDepth = 16
	// maxSteps is how many rules one packet may meet.
	maxSteps = 1_000_000
)

func (w *walk) chain(c *chain, depth int) outcome {
	if depth > maxDepth {
		return perhaps
	}
	unsure := false // whether the packet gets here
	for i := range c.rules {
		if w.steps++; w.steps > maxSteps {
			return perhaps
		}
		hit, verdict, target := w.rule(&c.rules[i])
		if hit == no {
			continue
		}
		out := w.follow(c, &c.rules[i], verdict, target, depth)
		ends := out == accepted || out == dropped || verdict == "return" || verdict == "goto"
		switch {
		case out == perhaps, ends && hit == maybe && out != dropped:
			unsure = true
		case ends && hit == yes:
			return whether(unsure, out)
		}
	}
	return whether(unsure, passed)
}

// whether is an outcome, unless an earlier rule may have made another.
func whether(unsure bool, out outcome) outcome {
	if unsure {
		return perhaps
	}
	return out
}

func (w *walk) follow(c *chain, r *rule, verdict, target string, depth int) outcome {
	switch verdict {
	case "accept":
		return accepted
	case "drop", "reject":
		w.by = r.Rule.String()
		return dropped
	case "jump", "goto":
		next := w.rules.chains[setKey{c.key.family, c.key.table, target}]
		if next == nil {
			return perhaps
		}
		return w.chain(next, depth+1)
	case "queue":
		return perhaps
	}
	return passed
}

// Ruleset are rules with the order in which packets meet them.
type Ruleset struct {
	chains map[setKey]*chain
	sets   map[setKey][]any
}

type chain struct {
	key      setKey
	hook     string
	priority float64
	policy   string
	devices  []string
	rules    []rule
}

type rule struct {
	Rule
	// steps are the statements, each an object with one key.
	steps []map[string]any
}

// ParseRuleset reads rules for [Ruleset.Walk]. The text may be from any version
// of nft.
func ParseRuleset(text []byte) (*Ruleset, error) {
	var all struct {
		Nftables []struct {
			Chain *struct {
				Family, Table, Name, Hook, Policy string
				Prio                              float64
				Dev                               any
			}
			Set, Map *struct {
				Family, Table, Name string
				Elem                []any
			}
			Rule *struct {
				Family, Table, Chain string
				Handle               int
				Expr                 []map[string]any
			}
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read nft ruleset: %v", err)
	}
	r := &Ruleset{chains: map[setKey]*chain{}, sets: map[setKey][]any{}}
	for _, item := range all.Nftables {
		if c := item.Chain; c != nil {
			key := setKey{c.Family, c.Table, c.Name}
			r.chains[key] = &chain{key: key, hook: c.Hook, priority: c.Prio, policy: c.Policy, devices: texts(c.Dev)}
		}
		if s := item.Set; s != nil {
			r.sets[setKey{s.Family, s.Table, s.Name}] = s.Elem
		}
		if s := item.Map; s != nil {
			r.sets[setKey{s.Family, s.Table, s.Name}] = s.Elem
		}
	}
	for _, item := range all.Nftables {
		if i := item.Rule; i != nil {
			if c := r.chains[setKey{i.Family, i.Table, i.Chain}]; c != nil {
				c.rules = append(c.rules, rule{Rule{i.Family, i.Table, i.Chain, i.Handle}, i.Expr})
			}
		}
	}
	return r, nil
}

// texts are the strings of a value that may be one or a list.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}
