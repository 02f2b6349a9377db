package config

import (
	"strings"
	"testing"
)

// clusterNodes are the nodes of these tests.
const clusterNodes = `nodes:
  gw-a: {ext_addr: 192.0.2.1, ext6: "2001:db8::1", heartbeat_addr: 169.254.1.1, in: int0, same: 192.0.2.7, only_a: 192.0.2.8, wild: 0.0.0.0, mixed: 192.0.2.1, no: x}
  gw-b: {ext_addr: 192.0.2.2, ext6: "2001:db8::2", heartbeat_addr: 169.254.1.0, in: bond1, same: 192.0.2.7, wild: 0.0.0.0, mixed: "2001:db8::2", no: y}
`

// edge is a virtual cluster without faults; tests change parts of it.
const edge = `name: edge, vrid: 51, priority: {gw-a: 150, gw-b: 100}, vips: [{addr: 192.0.2.3/24, interface: ext0}]`

// inCluster is a file with one cluster, edge changed.
func inCluster(changes ...string) string {
	text := edge
	for i := 0; i+1 < len(changes); i += 2 {
		if changes[i] == "" {
			text += ", " + changes[i+1]
		} else if !strings.Contains(text, changes[i]) {
			panic("nothing to change: " + changes[i])
		} else {
			text = strings.Replace(text, changes[i], changes[i+1], 1)
		}
	}
	return clusterNodes + "virtual_clusters: [{" + text + "}]"
}

// TestVirtualClusterFaults has one row for each way to get the values of a
// virtual cluster wrong.
func TestVirtualClusterFaults(t *testing.T) {
	const v = "virtual_clusters[0]."
	const vips = "vips: [{addr: 192.0.2.3/24, interface: ext0}]"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing wrong", inCluster(), nil},
		{"nothing", "virtual_clusters: [»»»{}]", []string{
			"virtual_clusters[0]: has no vrid; add the key", "virtual_clusters[0]: has no priority; add the key", "virtual_clusters[0]: has no vips; add the key"}},
		{"name", inCluster("name: edge", "name: »a b"), []string{v + `name: "a b" is not a virtual cluster's name (letters, digits and . _ -); write one such as edge`}},
		{"vrid", inCluster("51", "»256"), []string{v + `vrid: "256" is not a whole number within limits; write one from 1 to 255`}},
		{"priority of an address's owner", inCluster("150", "»255"), []string{v + `priority.gw-a: "255" is not a whole number within limits; write one from 1 to 254`}},
		{"no node", inCluster("{gw-a: 150, gw-b: 100}", "»{}"), []string{v + "priority: names no node; add this node, such as {gw-a: 100}"}},
		{"preempt", inCluster("", "preempt: »yes"), []string{v + "preempt: is text and must be true or false; write it without quotes, such as true"}},
		{"preempt in upper case", inCluster("", "preempt: »TRUE"), []string{v + `preempt: "TRUE" is neither true nor false; write true or false, in lower case`}},
		{"delay without preempt", inCluster("", "preempt_delay: »1s"), []string{v + "preempt_delay: means nothing without preempt; add preempt: true, or remove it"}},
		{"fast adverts", inCluster("", "advert_interval: »49ms"), []string{v + `advert_interval: "49ms" is out of limits; write one from 50ms to 40s, with its unit`}},
		{"adverts between units", inCluster("", "advert_interval: »55ms"), []string{v + "advert_interval: 55ms is no multiple of 10ms, the unit of VRRP version 3; write a multiple of it"}},
		{"adverts of version 2", inCluster("", "version: 2, advert_interval: »1500ms"), []string{v + "advert_interval: 1.5s is no multiple of 1s, the unit of VRRP version 2; write a multiple of it"}},
		{"version", inCluster("", "version: »4"), []string{v + `version: "4" is not a whole number within limits; write one from 2 to 3`}},
		{"IPv6 in version 2", inCluster("192.0.2.3/24", "»'2001:db8::3/64'", "", "version: 2"), []string{v + "vips[0].addr: 2001:db8::3 is IPv6, which VRRP version 2 does not know; use version 3"}},
		{"checksum", inCluster("", "checksum: »cisco"), []string{v + `checksum: "cisco" is not known; known here: pseudo_header, plain`}},
		{"checksum of version 2", inCluster("", "version: 2, checksum: »plain"), []string{v + "checksum: means nothing with version 2; remove it"}},
		{"MAC", inCluster("", "virtual_mac: »none"), []string{v + `virtual_mac: "none" is not a MAC address; write auto, off, or an address such as 02:00:c0:00:02:03`}},
		{"MAC of a group", inCluster("", "virtual_mac: »'01:00:5e:00:01:33'"), []string{v + `virtual_mac: "01:00:5e:00:01:33" is the MAC address of a group; write auto, off, or an address such as 02:00:c0:00:02:03`}},
		{"no MAC", inCluster("", "virtual_mac: »'00:00:00:00:00:00'"), []string{v + `virtual_mac: "00:00:00:00:00:00" is no machine's MAC address; write auto, off, or an address such as 02:00:c0:00:02:03`}},
		{"auth without keys", inCluster("", "auth: »{mode: enforce}"), []string{v + "auth: has no keys, which mode enforce needs; add keys: [{id: 1, file: /etc/sluice/vrrp.key}]"}},
		{"auth with no key", inCluster("", "auth: {mode: permissive, keys: »[]}"), []string{v + "auth.keys: names no key, and mode permissive needs one; add {id: 1, file: /etc/sluice/vrrp.key}"}},
		{"id of a key", inCluster("", "auth: {keys: [{id: »0, file: /k}]}"), []string{v + `auth.keys[0].id: "0" is not a whole number within limits; write one from 1 to 255`}},
		{"id of a key twice", inCluster("", "auth: {keys: [{id: 1, file: /k}, »{id: 1, file: /l}]}"), []string{v + "auth.keys[1]: repeats virtual_clusters[0].auth.keys[0] (line 4); keep one of the two"}},
		{"file of a key", inCluster("", "auth: {keys: [{id: 1, file: »k}]}"), []string{v + `auth.keys[0].file: "k" is not an absolute path; begin it with /`}},
		{"sent key", inCluster("", "auth: {keys: [{id: 1, file: /k}], send: »2}"), []string{v + "auth.send: no key has the id 2; write the id of one of keys"}},
		{"sent key without keys", inCluster("", "auth: {send: »2}"), []string{v + "auth.send: means nothing without keys; remove it"}},
		{"no VIP", inCluster(vips, "vips: »[]"), []string{v + "vips: is empty; list at least 1"}},
		{"broken VIPs", inCluster(vips, "vips: ["+strings.Repeat("~, ", 3)+"]", "~", "»[]", "~", "»[]", "~", "»[]"), []string{
			v + "vips[0]: is a list and must be a mapping about a virtual address; write its keys, addr, interface, each with a value",
			v + "vips[1]: is a list and must be a mapping about a virtual address; write its keys, addr, interface, each with a value",
			v + "vips[2]: is a list and must be a mapping about a virtual address; write its keys, addr, interface, each with a value"}},
		{"VIP of the whole network", inCluster("192.0.2.3", "»192.0.2.0"), []string{v + `vips[0].addr: "192.0.2.0/24" is an address of the network as a whole; write one of a host`}},
		{"VIP of all hosts", inCluster("192.0.2.3", "»192.0.2.255"), []string{v + `vips[0].addr: "192.0.2.255/24" is an address of the network as a whole; write one of a host`}},
		{"length of a VIP", inCluster("192.0.2.3/24", "»192.0.2.3/33"), []string{v + `vips[0].addr: "192.0.2.3/33" has no length of a prefix behind the slash; write one from 1 to 32`}},
		{"VIP of one link", inCluster("192.0.2.3/24", "»'fe80::3/64'"), []string{v + `vips[0].addr: "fe80::3" is a link-local address; write a global or unique local one (fd00::/8) of the same network, which hosts can have as their router, too`}},
		{"VIP of loopback", inCluster("192.0.2.3/24", "»127.0.0.1/8"), []string{v + `vips[0].addr: "127.0.0.1" is a loopback address; write a unicast address that is reached over the network`}},
		{"VIP without interface", inCluster("{addr: 192.0.2.3/24, interface: ext0}", "»{addr: 192.0.2.3}"), []string{v + "vips[0]: has no interface; add the key"}},
		{"program", inCluster("", "notify: [»notify]"), []string{v + `notify[0]: "notify" is not an absolute path; begin it with /`}},
		{"timeout without program", inCluster("", "notify_timeout: »5s"), []string{v + "notify_timeout: means nothing without notify; remove it"}},
		{"announcements", inCluster("", "announce: {repeat: »0, delay: »2m, refresh: »100ms}"), []string{
			v + `announce.repeat: "0" is not a whole number within limits; write one from 1 to 32`,
			v + `announce.delay: "2m" is out of limits; write one from 0s to 1m, with its unit`,
			v + `announce.refresh: "100ms" is out of limits; write one from 1s to 24h, with its unit, or 0s`}},
		{"watchdog", "dataplane: {watchdog: »500ms}", []string{`dataplane.watchdog: "500ms" is out of limits; write one from 1s to 1h, with its unit`}},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want...) })
	}
}

// TestVirtualClustersTogether: faults between clusters, and with services.
func TestVirtualClustersTogether(t *testing.T) {
	const other = "{vrid: 52, priority: {gw-a: 1}, vips: [{addr: 192.0.2.4/24, interface: ext0}]}"
	with := func(second, rest string) string {
		return strings.TrimSuffix(inCluster(), "]") + ",\n" + second + "]\n" + rest
	}
	change := func(old, new string) string { return strings.Replace(other, old, new, 1) }
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing wrong", with(other, ""), nil},
		{"name twice", with(change("{vrid", "{name: »edge, vrid"), ""), []string{
			"virtual_clusters[1].name: edge is already the name of another virtual cluster, virtual_clusters[0].name (line 4); choose another"}},
		{"vrid twice", with(change("52", "»51"), ""), []string{
			"virtual_clusters[1].vrid: 51 is also the number of virtual_clusters[0].vrid (line 4), for IPv4 on ext0; choose another, or make the two one cluster"}},
		{"vrid on another interface", with(strings.Replace(change("52", "51"), "ext0", "ext1", 1), ""), nil},
		{"vrid of another family", with(strings.Replace(change("52", "51"), "192.0.2.4/24", "'2001:db8::4/64'", 1), ""), nil},
		{"VIP twice", with(change("192.0.2.4", "»192.0.2.3"), ""), []string{
			"virtual_clusters[1].vips[0].addr: 192.0.2.3 is already a virtual address, virtual_clusters[0].vips[0].addr (line 4); keep one of the two"}},
		{"pool of another cluster", with(other, `services: [{listen: "192.0.2.3:22", source_pool: [»192.0.2.4, »10.0.0.1], backends: [10.0.0.11]}]`), []string{
			"services[0].source_pool[0]: 192.0.2.4 is no virtual address of edge, which moves 192.0.2.3: replies would not follow; add it to its vips, or use one of them",
			"services[0].source_pool[1]: 10.0.0.1 is no virtual address of edge, which moves 192.0.2.3: replies would not follow; add it to its vips, or use one of them"}},
		{"pool that moves alone", with(other, `services: [{listen: "192.0.2.9:22", source_pool: [»192.0.2.4], backends: [10.0.0.11]}]`), []string{
			"services[0].source_pool[0]: 192.0.2.4 is a virtual address of 52, which does not move 192.0.2.9: replies would not come back; use an address that stays"}},
		{"pool of the cluster", with(other, `services: [{listen: "192.0.2.3:22", source_pool: [192.0.2.3], backends: [10.0.0.11]}]`), nil},
		{"backend that is a VIP", with(other, `services: [{listen: "192.0.2.3:22", backends: [»192.0.2.4]}]`), []string{
			"services[0].backends[0].addr: 192.0.2.4:22 is a virtual address, virtual_clusters[1].vips[0].addr (line 5); name a machine that serves SSH"}},
		{"ping of another's VIP", with(strings.TrimSuffix(other, "}")+", pings: [{interface: ext0, hosts: [»192.0.2.3]}]}", ""), []string{
			"virtual_clusters[1].pings[0].hosts[0]: 192.0.2.3 is a virtual address, virtual_clusters[0].vips[0].addr (line 4), which follows the role; ping a router or switch that is always up"}},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want...) })
	}
}
