package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestServiceFaults has one row for each way to get a service wrong. Where a
// row has no services, its text stands in the only one.
func TestServiceFaults(t *testing.T) {
	const s = "services[0]."
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "services: [»»{}]", []string{"services[0]: has no listen; add the key", `services[0]: has no backends, which mode nat needs; add backends: ["10.0.0.11:22"]`}},
		{"not a mapping", "services: [»a]", []string{"services[0]: is text and must be a mapping about a service; write its keys, name, listen, mode, client_address, select, source_pool, outer_source, nodes, node_addr, via, backends, health_check, last_resort, on_down, each with a value"}},
		{"no list", "services: »{listen: a}", []string{"services: is a mapping and must be a list of services; put it in brackets, [ ], or behind a dash on a line of its own"}},
		{"no backends", `services: [»{listen: "192.0.2.3:22"}]`, []string{`services[0]: has no backends, which mode nat needs; add backends: ["10.0.0.11:22"]`}},
		{"no backends in dsr", `services: [»{listen: "192.0.2.3:22", mode: dsr}]`, []string{`services[0]: has no backends, which mode dsr needs; add backends: ["10.0.0.11:22"]`}},
		{"empty backends", `services: [{listen: "192.0.2.3:22", backends: »[]}]`, []string{s + "backends: is empty; list at least 1"}},
		{"unknown key twice", "»nam: a, »lisen: b", []string{
			s + "nam: unknown key; did you mean name?", s + "lisen: unknown key; did you mean listen?"}},
		{"key twice", "»listen: \"192.0.2.4:22\"", []string{s + "listen: repeats the key of line 2; keep one of the two"}},

		{"name with a blank", "name: »a b", []string{s + `name: "a b" is not a name; use up to 63 letters, digits and . _ -, but no address`}},
		{"name like a node set", "name: »'a[1-4]'", []string{s + `name: "a[1-4]" is not a name; use up to 63 letters, digits and . _ -, but no address`}},
		{"name like an address", "name: »10.0.0.1", []string{s + `name: "10.0.0.1" is not a name; use up to 63 letters, digits and . _ -, but no address`}},
		{"name of another place", "name: »192.0.2.4:22", []string{s + "name: 192.0.2.4:22 is not where the service listens; choose a word"}},

		{"pool of another family", "source_pool: [»\"2001:db8::1\"]", []string{s + "source_pool[0]: 2001:db8::1 is IPv6 and the VIP IPv4; use addresses of the VIP's family"}},
		{"pool address twice", "source_pool: [10.0.2.1, 10.0.2.2, »10.0.2.1]", []string{s + "source_pool[2]: repeats services[0].source_pool[0] (line 3); keep one of the two"}},
		{"pool address of a backend", "source_pool: [»10.0.0.11]", []string{s + "source_pool[0]: 10.0.0.11 is the address of services[0].backends[0]; use an address of the gateway"}},
		{"pool by name", "source_pool: [»a]", []string{s + `source_pool[0]: "a" is not an IP address; write the address itself; names are not looked up`}},
		{"outer source in nat", "outer_source: »[10.0.2.1]", []string{s + "outer_source: means nothing but in modes ipip and gue; remove it"}},
		{"outer source of each family twice", "mode: gue, outer_source: [10.0.2.1, »10.0.2.2]", []string{s + "outer_source[1]: is IPv4 as is services[0].outer_source[0] (line 3); keep one of the two"}},
		{"wide outer source", "mode: ipip, outer_source: [»10.0.2.0/23]", []string{s + `outer_source[0]: "10.0.2.0/23" is too wide; write /24 or longer`}},
		{"wide outer source of IPv6", "mode: ipip, outer_source: [»'2001:db8::/64']", []string{s + `outer_source[0]: "2001:db8::/64" is too wide; write /120 or longer`}},
		{"bits behind the outer source", "mode: ipip, outer_source: [»10.0.2.1/28]", []string{s + `outer_source[0]: "10.0.2.1/28" has bits behind the first 28; write 10.0.2.0/28, or 10.0.2.1 for that one address`}},
		{"outer source without length", "mode: ipip, outer_source: [»10.0.2.0/33]", []string{s + `outer_source[0]: "10.0.2.0/33" is not a network; write one such as 192.0.2.0/24, or a single address`}},
		{"loopback as outer source", "mode: ipip, outer_source: [»127.0.0.1]", []string{s + `outer_source[0]: "127.0.0.1" is a loopback address; write a unicast address that is reached over the network`}},
		{"pool with keep", "client_address: keep, source_pool: »[10.0.2.1]", []string{s + "source_pool: means nothing with client_address keep, which shows backends the client's own address; remove it"}},
		{"nat's keys in dsr", "mode: dsr, client_address: »hide, source_pool: »[10.0.2.1]", []string{
			s + "client_address: means nothing but in mode nat; remove it",
			s + "source_pool: means nothing but in mode nat with client_address hide or proxy_v2; remove it"}},
		{"backends' keys in sshd", `services: [{listen: "192.0.2.3:22", mode: sshd, select: »hash, backends: »[10.0.0.11], health_check: »{}, last_resort: »draining, on_down: »keep, client_address: »hide}]`, []string{
			s + "select: means nothing in mode sshd, which has no backends; remove it",
			s + "backends: means nothing in mode sshd, which has no backends; remove it",
			s + "health_check: means nothing in mode sshd, which has no backends; remove it",
			s + "last_resort: means nothing in mode sshd, which has no backends; remove it",
			s + "on_down: means nothing in mode sshd, which has no backends; remove it",
			s + "client_address: means nothing but in mode nat; remove it"}},
		{"unknown mode silences rules", `services: [{listen: "192.0.2.3:22", mode: »sshdd, source_pool: [10.0.2.1]}]`, []string{s + `mode: "sshdd" is not known; did you mean sshd?`}},

		{"timeout too long", "health_check: {timeout: »2s}", []string{s + "health_check.timeout: the timeout of 2s is not less than the interval of 2s; make timeout less than interval"}},
		{"interval too short", "health_check: {interval: »1s}", []string{s + "health_check.interval: the timeout of 1s is not less than the interval of 1s; make timeout less than interval"}},
		{"health check", "health_check: {type: »ping, rise: »0, fall: »101, interval: »1ms}", []string{
			s + `health_check.type: "ping" is not known; known here: ssh, tcp, off`,
			s + `health_check.rise: "0" is not a whole number within limits; write one from 1 to 100`,
			s + `health_check.fall: "101" is not a whole number within limits; write one from 1 to 100`,
			s + `health_check.interval: "1ms" is out of limits; write one from 100ms to 1h, with its unit`}},
		{"last resort", "last_resort: »any", []string{s + `last_resort: "any" is not known; known here: draining`}},
		{"on down", "on_down: »drop", []string{s + `on_down: "drop" is not known; known here: keep, reset`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.text
			if !strings.HasPrefix(text, "services") {
				text = fmt.Sprintf("services:\n- {listen: \"192.0.2.3:22\", backends: [10.0.0.11],\n   %s}\n", text)
			}
			testFaults(t, text, tt.want...)
		})
	}
}

// TestListenFaults has one row for each kind of address that cannot be a VIP.
func TestListenFaults(t *testing.T) {
	const unicast = "; write a unicast address that is reached over the network"
	for listen, want := range map[string]string{
		"192.0.2.3":             `"192.0.2.3" has no port; write "192.0.2.3:22"`,
		"[2001:db8::3]":         `"[2001:db8::3]" has no port; write "[2001:db8::3]:22"`,
		"2001:db8::3":           `"2001:db8::3" has an IPv6 address without brackets; write it as in "[2001:db8::1]:22"`,
		"2001:db8::3:22":        `"2001:db8::3:22" has an IPv6 address without brackets; write it as in "[2001:db8::1]:22"`,
		"[2001:db8::3]22":       `"[2001:db8::3]22" is not an address and port; write one such as "[2001:db8::1]:22"`,
		"[2001:db8::3:22":       `"[2001:db8::3:22" is not an address and port; write one such as "[2001:db8::1]:22"`,
		"192.0.2.3:0":           `"0" is not a TCP port; write one from 1 to 65535`,
		"192.0.2.3:65536":       `"65536" is not a TCP port; write one from 1 to 65535`,
		"192.0.2.3:ssh":         `"ssh" is not a TCP port; write one from 1 to 65535`,
		"192.0.2.3:+22":         `"+22" is not a TCP port; write one from 1 to 65535`,
		"192.0.2.03:22":         `"192.0.2.03" is not an IP address; write the address itself; names are not looked up`,
		"192.0.2:22":            `"192.0.2" is not an IP address; write the address itself; names are not looked up`,
		"gw.example:22":         `"gw.example" is not an IP address; write the address itself; names are not looked up`,
		":22":                   `"" is not an IP address; write the address itself; names are not looked up`,
		"":                      `"" is not an IP address; write the address itself; names are not looked up`,
		"0.0.0.0:22":            `"0.0.0.0" is the unspecified address` + unicast,
		"[::]:22":               `"::" is the unspecified address` + unicast,
		"127.0.0.1:22":          `"127.0.0.1" is a loopback address` + unicast,
		"[::1]:22":              `"::1" is a loopback address` + unicast,
		"224.0.0.1:22":          `"224.0.0.1" is a multicast address` + unicast,
		"[ff02::1]:22":          `"ff02::1" is a multicast address` + unicast,
		"255.255.255.255:22":    `"255.255.255.255" is the broadcast address` + unicast,
		"[fe80::1]:22":          `"fe80::1" is a link-local address` + unicast,
		"[fe80::1%eth0]:22":     `"fe80::1%eth0" has a zone; use an address that is valid on every interface`,
		"[::ffff:192.0.2.3]:22": `"::ffff:192.0.2.3" is an IPv4 address in IPv6 notation; write 192.0.2.3`,
	} {
		text := fmt.Sprintf("services: [{listen: »%q, mode: sshd}]", listen)
		testFaults(t, text, "services[0].listen: "+want)
	}
}
