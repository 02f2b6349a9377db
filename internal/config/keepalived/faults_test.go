package keepalived

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

// one makes the node of a single file.
func one(text string) []Node {
	return []Node{{Name: "a", FS: fstest.MapFS{"f": {Data: []byte(text)}}, File: "f", Dir: "/etc"}}
}

// faultsOf are the faults of files, one a line.
func faultsOf(t *testing.T, nodes []Node) []string {
	t.Helper()
	_, err := Import(nodes)
	if err == nil {
		return nil
	}
	faults, ok := errors.AsType[*config.Faults](err)
	if !ok {
		t.Fatalf("the error is %T: %v", err, err)
	}
	return strings.Split(faults.Error(), "\n")
}

// TestFaults has one row for each way to write what keepalived would not
// understand.
func TestFaults(t *testing.T) {
	router := func(lines string) string {
		return "vrrp_instance x {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress { 192.0.2.3 }\n" + lines + "\n}"
	}
	server := func(lines string) string { return "virtual_server 192.0.2.3 22 {\n" + lines + "\n}" }
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"open block", "a {\n b {\n }\n", []string{`f:1:3: the { of "a" is not closed; add a } where it ends`}},
		{"closed block", "a\n}\n", []string{`f:2:1: has a } without its {; remove it, or look for the { above`}},
		{"brace alone", "{\n}", []string{`f:1:1: has a { that belongs to no keyword, or blocks nest more than 16 deep; write it behind its keyword`}},
		{"deep", strings.Repeat("a {\n", 20), []string{`f:17:3: has a { that belongs to no keyword, or blocks nest more than 16 deep; write it behind its keyword`}},
		{"quote", "a \"b\n", []string{`f:1:3: has a quote that is not closed on its line; close it with "`}},
		{"quote at the end", "a\n \"b\\\"", []string{`f:2:2: has a quote that is not closed; close it with "`}},
		{"number", router(" priority 256"), []string{`f:5:2: priority: "256" is not a whole number within limits; write one from 1 to 255`}},
		{"no number", router(" priority"), []string{`f:5:2: priority: "" is not a whole number within limits; write one from 1 to 255`}},
		{"seconds", router(" advert_int 1s"), []string{`f:5:2: advert_int: "1s" is not a number of seconds; write one from 0 to 1000000`}},
		{"not a number of seconds", router(" advert_int nan"), []string{`f:5:2: advert_int: "nan" is not a number of seconds; write one from 0 to 1000000`}},
		{"version", router(" version 4"), []string{`f:5:2: version: "4" is not a whole number within limits; write one from 2 to 3`}},
		{"address", router(" virtual_ipaddress {\n  dev eth0\n }"), []string{`f:6:3: virtual_ipaddress: "dev" is not an IP address; write one such as 192.0.2.3/24`}},
		{"peer", router(" unicast_peer {\n  gw-b\n }"), []string{`f:6:3: unicast_peer: "gw-b" is not an IP address; write one such as 192.0.2.3`}},
		{"no interface", "vrrp_instance x {\n virtual_router_id 1\n}", []string{`f:1:1: "x" has no interface; add the line, such as interface eth0`}},
		{"no number of a router", "vrrp_instance x {\n interface eth0\n}", []string{`f:1:1: "x" has no virtual_router_id; add the line, with a number from 1 to 255`}},
		{"twice", router("") + "\n" + router(""), []string{`f:7:1: a second vrrp_instance is called "x"; choose another name`}},
		{"port", "virtual_server 192.0.2.3 99999 {\n}", []string{`f:1:1: virtual_server: "99999" is not a port; write one from 1 to 65535`}},
		{"weight", server(" real_server 10.0.0.1 22 {\n  weight -1\n }"), []string{`f:3:3: weight: "-1" is not a whole number within limits; write one from 0 to 65535`}},
		{"range", "virtual_server_group g {\n 192.0.2.9-3 22\n}", []string{`f:2:2: "192.0.2.9-3" is not a range of addresses; write one of at most 256, such as 192.0.2.3-9`}},
		{"wide range", "virtual_server_group g {\n 2001:db8::1-ffff 22\n}", []string{`f:2:2: "2001:db8::1-ffff" is not a range of addresses; write one of at most 256, such as 192.0.2.3-9`}},
		{"all at once", router(" priority 0\n version 1") + "\nvirtual_server x 1 {\n}", []string{
			`f:5:2: priority: "0" is not a whole number within limits; write one from 1 to 255`,
			`f:6:2: version: "1" is not a whole number within limits; write one from 2 to 3`,
			`f:8:1: virtual_server: "x" is not an IP address; write one such as 192.0.2.3`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := faultsOf(t, one(tt.text))
			for i := range got {
				if strings.Contains(got[i], "virtual_server") && tt.name == "port" && i > 0 {
					got = got[:i]
					break
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestIncludes: what is included stays below the directory of the file, ends,
// and is a file.
func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("vrrp_instance stolen {"), 0o600); err != nil {
		t.Fatal(err)
	}
	etc := filepath.Join(dir, "etc")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(etc, "sub"), 0o700),
		os.Symlink("../secret", filepath.Join(etc, "link")),
		os.WriteFile(filepath.Join(etc, "fine"), []byte("odd_word\ninclude sub/more"), 0o600),
		os.WriteFile(filepath.Join(etc, "sub", "more"), []byte("other_word\ninclude again\n"), 0o600),
		os.WriteFile(filepath.Join(etc, "sub", "again"), []byte("last_word\n"), 0o600),
		os.WriteFile(filepath.Join(etc, "loop"), []byte("include loop\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(etc)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, tt := range []struct{ line, want string }{
		{"include fine", ""},
		{"include " + etc + "/fine", ""},
		{"include *ine", ""},
		{"include none*", ""},
		{"include ../secret", "is no path or pattern below the directory"},
		{"include sub/../../secret", "is no path or pattern below the directory"},
		{"include " + filepath.Join(dir, "secret"), "is not below the directory"},
		{"include link", ""}, // leads out, and so is not there
		{"include sub", `"sub" is not a file`},
		{"include [", "is no path or pattern"},
		{"include", "include names no file"},
		{"include {", "include names no file"},
		{"include loop", "files include each other more than 8 deep"},
	} {
		if err := os.WriteFile(filepath.Join(etc, "f"), []byte(tt.line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Import([]Node{{Name: "a", FS: root.FS(), File: "f", Dir: etc}})
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.line, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "stolen"):
			t.Errorf("%s: shows what it must not read: %v", tt.line, err)
		case strings.Contains(tt.line, "ine") && (err != nil || !strings.Contains(string(got.Settings), "last_word")):
			t.Errorf("%s: not all is read", tt.line)
		}
	}
}

// TestBounds: what is made to be endless ends with a fault.
func TestBounds(t *testing.T) {
	twice := "$A=x\n"
	for _, pair := range []string{"BA", "CB", "DC", "ED", "FE", "GF", "HG", "IH", "JI", "KJ", "LK", "ML", "NM", "ON", "PO", "QP", "RQ", "SR", "TS", "UT", "VU"} {
		twice += "$" + pair[:1] + "=$" + pair[1:] + " $" + pair[1:] + "\n"
	}
	for name, text := range map[string]string{
		"variables of variables":     twice,
		"variables within words":     strings.ReplaceAll(twice, " $", "$"),
		"a large file":               strings.Repeat("# comment\n", 200000),
		"many includes of one file":  strings.Repeat("include g\n", 1000),
		"one variable in many words": "$A=" + strings.Repeat("x", 1000) + "\n" + strings.Repeat("w${A}\n", 5000),
	} {
		nodes := one(text)
		nodes[0].FS.(fstest.MapFS)["g"] = &fstest.MapFile{Data: []byte("x")}
		faults := faultsOf(t, nodes)
		if len(faults) == 0 || len(strings.Join(faults, "")) > 1<<18 {
			t.Errorf("%s: %d faults", name, len(faults))
		}
	}
	got, err := Import(one(strings.Repeat("odd\n", 5000)))
	if err != nil || len(got.Left) != maxNotes || !strings.Contains(string(got.Settings), "and 4000 more") {
		t.Errorf("many odd words: %v", err)
	}
}

// TestUnknownValues: what no file tells is ~, and the check says so at its place.
func TestUnknownValues(t *testing.T) {
	const text = "vrrp_instance x {\n interface eth0\n virtual_router_id 1\n unicast_peer {\n 192.0.2.2\n 192.0.2.4\n }\n virtual_ipaddress { 192.0.2.3/24 }\n}"
	got, err := Import(one(text))
	if err != nil || got.Unknown != 3 {
		t.Fatalf("%v, want three unknown values in\n%s", err, got.Settings)
	}
	_, err = config.Parse("s.yaml", got.Settings, config.Hostname("a"))
	for _, place := range []string{"nodes.a.eth0_addr: has no value", "nodes.other-gateway.eth0_addr: has no value", "priority.other-gateway: has no value"} {
		if err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("got %v, want %s", err, place)
		}
	}
}

// TestHostileNames: what files say never becomes more than text or a comment.
func TestHostileNames(t *testing.T) {
	const text = `vrrp_instance "x\n- evil: {" {
 interface "e}, h: {\n#"
 virtual_router_id 1
 notify "/bin/x ${a} \n- {"
 virtual_ipaddress { 192.0.2.3/24 }
}
"odd\nservices: []\x1b" a
`
	got, err := Import(one(text))
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Parse("s.yaml", got.Settings, config.Hostname("a"))
	want := []string{"virtual_clusters[0].vips[0].interface", "virtual_clusters[0].priority.other-gateway"}
	for _, path := range want {
		if err == nil || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), "\n") != len(want)-1 {
			t.Errorf("got %v, want faults of %v\n%s", err, want, got.Settings)
		}
	}
	if strings.ContainsAny(string(got.Settings), "\x1b") {
		t.Errorf("a control character got through:\n%q", got.Settings)
	}
}

// TestNamesOfGateways: each gateway has one of its own.
func TestNamesOfGateways(t *testing.T) {
	const text = "global_defs {\n router_id other-gateway\n}\nvrrp_instance x {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress { 192.0.2.3 }\n}"
	node := one(text)[0]
	node.Name = ""
	got, err := Import([]Node{node})
	if err != nil || !strings.Contains(string(got.Settings), "priority: {other-gateway: 100, other-gateway-2: ~}") {
		t.Errorf("got %v\n%s", err, got.Settings)
	}
	again := one(text)[0]
	again.Name = "other-gateway"
	want := []string{`f: "other-gateway" is the name of another gateway, too; give each one of its own`}
	if diff := cmp.Diff(want, faultsOf(t, []Node{node, again})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
