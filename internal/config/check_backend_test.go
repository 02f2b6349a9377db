package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestBackendFaults has one row for each way to get backends wrong.
func TestBackendFaults(t *testing.T) {
	const b = "services[0].backends[0]"
	for _, tt := range []struct {
		name, backends string
		want           []string
	}{
		{"not a list", "»10.0.0.11", []string{"services[0].backends: is text and must be a list of backends; put it in brackets, [ ], or behind a dash on a line of its own"}},
		{"nothing", "[»{}]", []string{b + ": has no addr; add the key"}},
		{"no value", "[»~]", []string{b + ": is empty and must be a mapping about a backend, or its address and port; write its keys, name, addr, weight, each with a value"}},
		{"a list", "[»[10.0.0.11]]", []string{b + ": is a list and must be a mapping about a backend, or its address and port; write its keys, name, addr, weight, each with a value"}},
		{"a number", "[»22]", []string{b + `: "22" is not an IP address; write the address itself; names are not looked up`}},
		{"a name", "[»blue1]", []string{b + `: "blue1" is not an IP address; write the address itself; names are not looked up`}},
		{"unknown key", "[{addr: 10.0.0.11, »wieght: 1}]", []string{b + ".wieght: unknown key; did you mean weight?"}},
		{"loopback", "[»127.0.0.1:22]", []string{b + `: "127.0.0.1" is a loopback address; write a unicast address that is reached over the network`}},
		{"weight", "[{addr: 10.0.0.11, weight: »-1}, {addr: 10.0.0.12, weight: »1001}, {addr: 10.0.0.13, weight: »a}]", []string{
			b + `.weight: "-1" is not a whole number within limits; write one from 0 to 1000`,
			`services[0].backends[1].weight: "1001" is not a whole number within limits; write one from 0 to 1000`,
			"services[0].backends[2].weight: is text and must be a number; write it without quotes, such as 0"}},
		{"twice", "[10.0.0.11, {name: a, addr: 10.0.0.12}, »10.0.0.11:22]", []string{"services[0].backends[2]: repeats services[0].backends[0] (line 2); keep one of the two"}},
		{"of another family", `[»"[2001:db8::1]:22"]`, []string{b + ".addr: [2001:db8::1]:22 is IPv6 and the VIP IPv4; use backends of the VIP's family, or mode ipip or gue"}},
		{"the VIP", "[»192.0.2.3:2222]", []string{b + ".addr: 192.0.2.3 is a VIP, services[0].listen (line 2); use an address of the backend's own"}},
		{"the service", "[{name: a, addr: »192.0.2.3}]", []string{b + ".addr: 192.0.2.3:22 is itself a service, services[0].listen (line 2); name a machine that serves SSH"}},
		{"another service", "[»192.0.2.4]", []string{b + ".addr: 192.0.2.4:22 is itself a service, services[1].listen (line 3); name a machine that serves SSH"}},
		{"name of two", "[{name: a, addr: 10.0.0.11}, {name: »a, addr: 10.0.0.12}]", []string{"services[0].backends[1].name: a is already the name of 10.0.0.11:22, by services[0].backends[0].name (line 2); choose another"}},
		{"name of another place", "[{name: »10.0.0.12:22, addr: 10.0.0.11}]", []string{b + ".name: 10.0.0.12:22 is not the backend's address and port; choose a word"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const text = "services:\n- {listen: '192.0.2.3:22', backends: %s}\n- {listen: '192.0.2.4:22', mode: sshd}"
			testFaults(t, fmt.Sprintf(text, tt.backends), tt.want...)
		})
	}
}

// TestFaultsAcrossServices has the rules between services.
func TestFaultsAcrossServices(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"same VIP and port", `
services:
- {listen: "192.0.2.3:22", backends: [10.0.0.11]}
- {listen: "192.0.2.3:23", backends: [10.0.0.11]}
- {listen: »"192.0.2.3:22", mode: sshd}`, "services[2].listen: 192.0.2.3:22 is where services[0].listen (line 3) listens; merge the two, or change the port"},
		{"same VIP and port in other words", `
services:
- {listen: "[2001:db8::3]:22", mode: sshd}
- {listen: »"[2001:DB8:0::3]:022", mode: sshd}`, "services[1].listen: [2001:db8::3]:22 is where services[0].listen (line 3) listens; merge the two, or change the port"},
		{"same name", `
services:
- {name: a, listen: "192.0.2.3:22", mode: sshd}
- {name: »a, listen: "192.0.2.3:23", mode: sshd}`, "services[1].name: a is already the name of another service, services[0].name (line 3); choose another"},
		{"two names for one backend", `
services:
- {listen: "192.0.2.3:22", backends: [{name: a, addr: 10.0.0.11}]}
- {listen: "192.0.2.4:22", backends: [10.0.0.11]}
- {listen: "192.0.2.5:22", backends: [{name: »b, addr: 10.0.0.11}]}`, "services[2].backends[0].name: 10.0.0.11:22 is called a by services[0].backends[0].name (line 3); use one name for it"},
		{"ports in dsr", `
services:
- {listen: "192.0.2.3:22", mode: dsr, backends: [10.0.0.11, »10.0.0.12:2022]}`,
			"services[0].backends[1].addr: port 2022 differs from the service's 22, and mode dsr rewrites no ports; use the same port on both, or mode nat"},
		{"ports in ipip", `
services:
- {listen: "192.0.2.3:22", mode: ipip, backends: [»"[2001:db8::1]:2022"]}`,
			"services[0].backends[0].addr: port 2022 differs from the service's 22, and mode ipip rewrites no ports; use the same port on both, or mode nat"},
		{"family in dsr", `
services:
- {listen: "[2001:db8::3]:22", mode: dsr, backends: [»10.0.0.11]}`,
			"services[0].backends[0].addr: 10.0.0.11:22 is IPv4 and the VIP IPv6; use backends of the VIP's family, or mode ipip or gue"},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want) })
	}
}

// TestLimits fills each list to its limit, and with one more.
func TestLimits(t *testing.T) {
	many := func(n int, each func(i int) string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = each(i)
		}
		return strings.Join(items, ", ")
	}
	backend := func(i int) string { return fmt.Sprintf("10.%d.%d.1", i/256, i%256) }
	services := func(n, backends int) string {
		return "services: [" + many(n, func(i int) string {
			return fmt.Sprintf("{listen: '192.0.2.1:%d', backends: [%s]}", i+1, many(backends, backend))
		}) + "]"
	}
	for _, tt := range []struct {
		name       string
		fits, over string
		want       string
	}{
		{"services", services(512, 1), services(513, 1), "services[512]: 513 services are more than the limit of 512; keep what fits"},
		{"backends", services(1, 4096), services(1, 4097), "services[0].backends[4096]: 4097 backends are more than the limit of 4096; keep what fits"},
		{"members", services(8, 2048), services(9, 2048),
			"services[8].backends: the services up to this one have 18432 backends, more than the limit of 16384; spread the services over more gateways"},
		{"pool", "services: [{listen: '192.0.2.1:22', backends: [10.0.0.1], source_pool: [" + many(16, func(i int) string { return fmt.Sprintf("10.1.0.%d", i) }) + "]}]",
			"services: [{listen: '192.0.2.1:22', backends: [10.0.0.1], source_pool: [" + many(17, func(i int) string { return fmt.Sprintf("10.1.0.%d", i) }) + "]}]",
			"services[0].source_pool[16]: 17 addresses are more than the limit of 16; keep what fits"},
		{"interfaces", "dataplane: {interfaces: [" + many(64, func(i int) string { return fmt.Sprintf("eth%d", i) }) + "]}",
			"dataplane: {interfaces: [" + many(65, func(i int) string { return fmt.Sprintf("eth%d", i) }) + "]}",
			"dataplane.interfaces[64]: 65 interfaces are more than the limit of 64; keep what fits"},
		{"nodes", "nodes: {" + many(256, func(i int) string { return fmt.Sprintf("n%d: {}", i) }) + "}",
			"nodes: {" + many(257, func(i int) string { return fmt.Sprintf("n%d: {}", i) }) + "}",
			"nodes.n256: 257 keys are more than the limit of 256; keep what fits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mustParse(t, tt.fits)
			_, err := Parse("f.yaml", []byte(tt.over))
			if err == nil || !strings.HasSuffix(err.Error(), ": "+tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %.300v\nwant %s", err, tt.want)
			}
		})
	}
}
