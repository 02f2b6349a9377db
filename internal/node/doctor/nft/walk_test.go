package nft

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/nettest"
)

var (
	advert4 = Packet{In: "ext0", To: netip.MustParseAddr("224.0.0.18"), Protocol: 112}
	advert6 = Packet{In: "ext0", To: netip.MustParseAddr("ff02::12"), Protocol: 112}
	beat    = Packet{
		In: "hb0", From: netip.MustParseAddr("169.254.1.0"), To: netip.MustParseAddr("169.254.1.1"), Protocol: 17, Port: 8021, Answered: true,
	}
)

// Rules as nft takes them, and what by then becomes of a packet: the text that the
// one that drops it has, "" for none.
var walks = []struct {
	name   string
	rules  string
	at     Hook
	packet Packet
	want   string
}{
	{"no rules", "", Input, advert4, ""},
	{"open", "chain in { type filter hook input priority 0; policy accept; }", Input, advert4, ""},
	{"closed", "chain in { type filter hook input priority 0; policy drop; }", Input, advert4, "policy of chain inet t in"},
	{"closed for others", "chain in { type filter hook output priority 0; policy drop; }", Input, advert4, ""},
	{"let in", "chain in { type filter hook input priority 0; policy drop; ip protocol vrrp accept; }", Input, advert4, ""},
	{"let in by number", "chain in { type filter hook input priority 0; policy drop; meta l4proto { 112, 50 } accept; }", Input, advert6, ""},
	{"IPv4 alone let in", "chain in { type filter hook input priority 0; policy drop; ip protocol 112 accept; }", Input, advert6, "policy"},
	{"let in elsewhere", `chain in { type filter hook input priority 0; policy drop; iifname "int*" accept; }`, Input, advert4, "policy"},
	{"let in here", `chain in { type filter hook input priority 0; policy drop; iifname "ext*" accept; }`, Input, advert4, ""},
	{"a list of names", `chain in { type filter hook input priority 0; policy drop; iifname { "lo", "ext0" } accept; }`, Input, advert4, ""},
	{"TCP alone", "chain in { type filter hook input priority 0; policy drop; tcp dport 22 accept; ct state established,related accept; }", Input, advert4, "policy"},
	{"reject", `chain in { type filter hook input priority 0; ip protocol 112 counter log reject; }`, Input, advert4, "rule 2 of inet t in"},
	{"group", "chain in { type filter hook input priority 0; ip daddr 224.0.0.0/4 drop; }", Input, advert4, "rule 2"},
	{"other group", "chain in { type filter hook input priority 0; ip daddr 224.0.0.251 drop; }", Input, advert4, ""},
	{"multicast", "chain in { type filter hook input priority 0; meta pkttype multicast drop; }", Input, advert6, "rule 2"},
	{"not from whom", "chain in { type filter hook input priority 0; ip saddr != 192.0.2.2 drop; }", Input, advert4, ""},
	{"not from him", "chain in { type filter hook input priority 0; ip saddr != 169.254.1.0 drop; }", Input, beat, ""},
	{"from him", "chain in { type filter hook input priority 0; ip saddr 169.254.0.0/16 drop; }", Input, beat, "rule 2"},
	{"not of the other family", "chain in { type filter hook input priority 0; ip saddr != 192.0.2.2 drop; }", Input, advert6, ""},
	{"a limit", "chain in { type filter hook input priority 0; policy drop; ip protocol 112 limit rate 5/second accept; }", Input, advert4, ""},
	{"a limit on drops", "chain in { type filter hook input priority 0; ip protocol 112 limit rate 5/second drop; }", Input, advert4, ""},
	{"jump", "chain v { ip protocol 112 drop; }\n chain in { type filter hook input priority 0; jump v; }", Input, advert4, "rule 3 of inet t v"},
	{"jump and return", "chain v { ip protocol 112 return; drop; }\n chain in { type filter hook input priority 0; jump v; }", Input, advert4, ""},
	{"goto ends at the policy", "chain v { udp dport 1 accept; }\n chain in { type filter hook input priority 0; policy drop; goto v; ip protocol 112 accept; }", Input, advert4, "policy"},
	{"a map", `chain in { type filter hook input priority 0; policy drop; iifname vmap { "lo": accept, "ext0": accept }; }`, Input, advert4, ""},
	{"a map that drops", `chain in { type filter hook input priority 0; iifname vmap { "lo": accept, "ext0": drop }; }`, Input, advert4, "rule 3"},
	{"a map of states", "chain in { type filter hook input priority 0; policy drop; ct state vmap { established: accept, invalid: drop }; }", Input, advert4, "policy"},
	{"a named set", "set p { type inet_proto; elements = { 112 } }\n chain in { type filter hook input priority 0; policy drop; meta l4proto @p accept; }", Input, advert4, ""},
	{"second chain", "chain a { type filter hook input priority 0; ip protocol 112 accept; }\n chain b { type filter hook input priority 5; ip protocol 112 drop; }", Input, advert4, "inet t b"},
	{"before input", "chain a { type filter hook prerouting priority -300; ip protocol 112 drop; }", Input, advert4, "inet t a"},
	{"heartbeat", "chain in { type filter hook input priority 0; policy drop; udp dport 8021 accept; }", Input, beat, ""},
	{"heartbeat of another port", "chain in { type filter hook input priority 0; policy drop; udp dport != 8021 accept; }", Input, beat, "policy"},
	{"adverts have no port", "chain in { type filter hook input priority 0; policy drop; udp dport != 8021 accept; }", Input, advert4, "policy"},
	{"heartbeat as an answer", "chain in { type filter hook input priority 0; policy drop; ct state established accept; }", Input, beat, ""},
	{"ports", "chain in { type filter hook input priority 0; udp dport 8000-8100 drop; }", Input, beat, "rule 2"},
	{"out", "chain out { type filter hook output priority 0; policy drop; }", Output, Packet{Out: "ext0", To: advert4.To, Protocol: 112}, "policy"},
	{"a frame passes output", "chain out { type filter hook output priority 0; policy drop; }", Frame, Packet{Out: "ext0", To: advert4.To, Protocol: 112}, ""},
}

func TestWalk(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.Program("nft"))
	ns := nettest.ForTest(t)
	for _, c := range walks {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			load := ns.Command(ctx, "nft", "-f", "-")
			load.Stdin = strings.NewReader("flush ruleset\ntable inet t {\n" + c.rules + "\n}\n")
			if said, err := load.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			text, err := ns.Command(ctx, "nft", "-j", "list", "ruleset").Output()
			if err != nil {
				t.Fatal(err)
			}
			r, err := ParseRuleset(text)
			if err != nil {
				t.Fatal(err)
			}
			by, found := r.Walk(c.at, c.packet)
			if found != (c.want != "") || !strings.Contains(by, c.want) {
				t.Errorf("%q, %t; want %q of\n%s", by, found, c.want, text)
			}
		})
	}
}

// Chains of an interface see the packets of that one alone.
func TestWalkOnInterface(t *testing.T) {
	r, err := ParseRuleset([]byte(`{"nftables":[
		{"chain":{"family":"netdev","table":"t","name":"c","hook":"ingress","prio":0,"dev":"ext0","policy":"accept"}},
		{"rule":{"family":"netdev","table":"t","chain":"c","handle":4,"expr":[
			{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"protocol"}},"right":112}},{"drop":null}]}},
		{"chain":{"family":"netdev","table":"t","name":"e","hook":"egress","prio":0,"dev":["ext0","int0"],"policy":"drop"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if by, found := r.Walk(Input, advert4); !found || by != "rule 4 of netdev t c" {
		t.Errorf("%q, %t", by, found)
	}
	elsewhere := advert4
	elsewhere.In = "int0"
	if by, found := r.Walk(Input, elsewhere); found {
		t.Errorf("elsewhere: %q", by)
	}
	if by, found := r.Walk(Frame, Packet{Out: "int0", To: advert4.To, Protocol: 112}); !found || !strings.Contains(by, "policy") {
		t.Errorf("%q, %t", by, found)
	}
}

// Whatever stands in the text, nothing but an error comes of it.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(`{"nftables":[{"chain":{"family":"ip","table":"t","name":"c","hook":"input"}},
		{"rule":{"family":"ip","table":"t","chain":"c","expr":[{"goto":{"target":"c"}}]}}]}`))
	f.Add([]byte(`{"nftables":[{"chain":{"family":"ip","table":"t","name":"c","hook":"input"}},
		{"rule":{"family":"ip","table":"t","chain":"c","expr":[{"vmap":{"key":{"meta":{"key":"iif"}},"data":{"set":[[{"elem":{"val":1}},{"drop":null}]]}}}]}}]}`))
	f.Add([]byte(`{"nftables":[{"chain":null,"rule":{"expr":[{}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRuleset(text)
		if err != nil {
			return
		}
		for _, p := range []Packet{advert4, advert6, beat} {
			if by, found := r.Walk(Input, p); !found && by != "" {
				t.Errorf("%q", by)
			}
			_, _ = r.Walk(Output, p)
		}
	})
}
