package nft

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// savedHooks are the chains of x_tables that packets of this machine meet, and
// savedOrder the order of tables in each. Table nat drops nothing.
var (
	savedHooks = map[string]string{"PREROUTING": "prerouting", "INPUT": "input", "OUTPUT": "output", "POSTROUTING": "postrouting"}
	savedOrder = map[string]float64{"raw": -300, "mangle": -150, "filter": 0, "security": 50}
)

// ParseSaved reads what iptables-save prints, or with v6 ip6tables-save, for
// [Ruleset.Walk]; rules are numbered in their chains from 1, as iptables -L
// --line-numbers does. What a rule asks that is not understood counts as perhaps.
func ParseSaved(text []byte, v6 bool) (*Ruleset, error) {
	s := saved{rules: &Ruleset{chains: map[setKey]*chain{}, sets: map[setKey][]any{}}, family: "ip"}
	if v6 {
		s.family = "ip6"
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if err := s.line(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("read saved iptables rules: line %d: %v", number, err)
		}
	}
	// Only now are all chains known that a rule may jump to.
	for _, c := range s.rules.chains {
		for i := range c.rules {
			s.aim(c, &c.rules[i])
		}
	}
	return s.rules, nil
}

// saved is the reading of a text.
type saved struct {
	rules  *Ruleset
	family string
	table  string
}

func (s *saved) line(line string) error {
	if counters, rest, found := strings.Cut(line, "] "); found && strings.HasPrefix(counters, "[") {
		line = rest
	}
	switch {
	case line == "" || strings.HasPrefix(line, "#"):
		return nil
	case line == "COMMIT":
		s.table = ""
		return nil
	case strings.HasPrefix(line, "*"):
		s.table = line[1:]
		return nil
	case s.table == "":
		return errors.New("it is in no table")
	case strings.HasPrefix(line, ":"):
		return s.chain(strings.Fields(line[1:]))
	}
	words, err := splitWords(line)
	if err != nil {
		return err
	}
	if len(words) < 2 || words[0].text != "-A" {
		return errors.New("it is neither a table, nor a chain, nor a rule")
	}
	c := s.rules.chains[setKey{s.family, s.table, words[1].text}]
	if c == nil {
		return fmt.Errorf("there is no chain %q", words[1].text)
	}
	at := Rule{s.family, s.table, words[1].text, len(c.rules) + 1}
	c.rules = append(c.rules, rule{at, s.steps(words[2:])})
	return nil
}

func (s *saved) chain(words []string) error {
	if len(words) < 2 {
		return errors.New("a chain has no policy")
	}
	key := setKey{s.family, s.table, words[0]}
	c := &chain{key: key, policy: strings.ToLower(words[1])}
	if order, known := savedOrder[s.table]; known {
		c.hook, c.priority = savedHooks[words[0]], order
	}
	s.rules.chains[key] = c
	return nil
}

// word is an argument; a quoted one is never an option.
type word struct {
	text   string
	quoted bool
}

func (w word) option() bool { return !w.quoted && (w.text == "!" || strings.HasPrefix(w.text, "-")) }

// splitWords takes a line apart as iptables-restore does.
func splitWords(line string) ([]word, error) {
	var list []word
	var now word
	inside, escaped := false, false
	end := func() {
		if now.text != "" || now.quoted {
			list = append(list, now)
		}
		now = word{}
	}
	for _, r := range line {
		switch {
		case escaped:
			escaped = false
			now.text += string(r)
		case inside && r == '\\':
			escaped = true
		case r == '"':
			inside, now.quoted = !inside, true
		case !inside && (r == ' ' || r == '\t'):
			end()
		default:
			now.text += string(r)
		}
	}
	if inside {
		return nil, errors.New("a quotation does not end")
	}
	end()
	return list, nil
}

// unknown is a statement that makes a rule one about perhaps this packet.
var unknown = map[string]any{"unknown": nil}

// steps are the statements of a rule; its target comes last, with options of its own.
func (s *saved) steps(words []word) []map[string]any {
	var list []map[string]any
	op := "=="
	for i := 0; i < len(words); i++ {
		w := words[i]
		value := ""
		if i+1 < len(words) && (words[i+1].quoted || !words[i+1].option()) {
			value = words[i+1].text
		}
		switch {
		case !w.quoted && w.text == "!":
			op = "!="
			continue
		case !w.option():
			continue // an option's value
		case w.text == "-j" || w.text == "--jump":
			return append(list, map[string]any{"jump": map[string]any{"target": value}})
		case w.text == "-g" || w.text == "--goto":
			return append(list, map[string]any{"goto": map[string]any{"target": value}})
		case w.text == "-m" || w.text == "--match" || w.text == "--comment":
		default:
			list = append(list, s.condition(w.text, op, value))
		}
		op = "=="
	}
	return list
}

// passing are targets after which the next rule is met.
var passing = []string{
	"", "LOG", "NFLOG", "ULOG", "TRACE", "MARK", "CONNMARK", "CONNSECMARK", "SECMARK", "CLASSIFY", "CT", "NOTRACK", "DSCP", "TOS", "TTL", "HL",
	"TCPMSS", "TCPOPTSTRIP", "CHECKSUM", "SET", "AUDIT", "RATEEST", "IDLETIMER", "LED", "TEE",
}

// aim gives a rule the verdict that its target is.
func (s *saved) aim(c *chain, r *rule) {
	if len(r.steps) == 0 {
		return
	}
	last := &r.steps[len(r.steps)-1]
	object, isJump := (*last)["jump"].(map[string]any)
	if !isJump {
		return
	}
	target, _ := object["target"].(string)
	switch verdict := strings.ToLower(target); {
	case s.rules.chains[setKey{c.key.family, c.key.table, target}] != nil:
	case slices.Contains([]string{"ACCEPT", "DROP", "REJECT", "RETURN"}, target):
		*last = map[string]any{verdict: nil}
	case slices.Contains(passing, target):
		*last = map[string]any{"counter": nil}
	default:
		*last = map[string]any{"queue": nil} // who knows
	}
}
