package nft

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/nettest"
)

// comments are what the test's rules are called, by handle.
func comments(t *testing.T, text []byte) map[int]string {
	t.Helper()
	var all struct {
		Nftables []struct {
			Rule struct {
				Handle  int
				Comment string
			}
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	names := make(map[int]string)
	for _, item := range all.Nftables {
		names[item.Rule.Handle] = item.Rule.Comment
	}
	return names
}

// checkNames asks the rules of testdata for destinations.
func checkNames(t *testing.T, text []byte) {
	t.Helper()
	rules, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	names := comments(t, text)
	for to, want := range map[string][]string{
		"192.0.2.3:22":    {"exact", "prefix", "concatenation in a set", "ranges", "all ports but one", "anonymous set"},
		"192.0.2.3:80":    {"other ports", "all ports but one", "anonymous set"},
		"192.0.2.3:2222":  {"all ports but one", "anonymous set"},
		"192.0.2.4:22":    {"prefix", "set with timeouts", "ranges"},
		"192.0.2.6:26":    {"anonymous set"},
		"192.0.2.9:22":    {"prefix"},
		"198.51.100.1:22": nil,
		"[fd00::3]:22":    {"IPv6"},
		"[fd00::3]:23":    nil,
		"[fd00:1::7]:1":   {"set of intervals"},
		"[fd00:5::5]:1":   {"set of intervals"},
		"[fd00:5::a]:1":   nil,
	} {
		var got []string
		for _, r := range rules {
			if r.Names(netip.MustParseAddrPort(to)) {
				got = append(got, names[r.Handle])
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rules that name %s (-want +got):\n%s", to, diff)
		}
	}
}

// The same rules as an nft of old printed them, and as the one here does.
func TestNames(t *testing.T) {
	t.Run("recorded", func(t *testing.T) {
		text, err := os.ReadFile("testdata/ruleset.json")
		if err != nil {
			t.Fatal(err)
		}
		checkNames(t, text)
	})
	t.Run("real", func(t *testing.T) {
		nettest.Require(t, nettest.Program("nft"))
		n := nettest.ForTest(t)
		program, err := nettest.FindProgram("nft")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := n.Command(t.Context(), program, "-f", "testdata/ruleset.nft").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := n.Command(context.Background(), program, "-j", "list", "ruleset").Output()
		if err != nil {
			t.Fatal(err)
		}
		checkNames(t, text)
	})
}

func TestRuleIsFoundAgain(t *testing.T) {
	r := Rule{Family: "inet", Table: "filter", Chain: "input", Handle: 6}
	if r.Place() != "inet filter input" || r.String() != "rule 6 of inet filter input" {
		t.Errorf("%q at %q", r, r.Place())
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"nftables": 7}`, `{"nftables": [{"rule": 7}]}`} {
		if rules, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q read as %v", text, rules)
		}
	}
}

// A rule that is odd in any way must not end the doctor.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/ruleset.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"nftables":[{"rule":{"expr":[{"match":{"left":{"concat":[1,{}]},"right":{"prefix":{"addr":"1::","len":-1}}}}]}}]}`))
	f.Add([]byte(`{"nftables":[{"rule":{"expr":[{"match":{"left":{"payload":{"field":"daddr"}},"right":{"elem":{"val":{"elem":7}}}}}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := Parse(text)
		if err != nil {
			return
		}
		for _, r := range rules {
			r.Names(netip.MustParseAddrPort("192.0.2.3:22"))
			r.Names(netip.MustParseAddrPort("[fd00::3]:22"))
		}
	})
}
