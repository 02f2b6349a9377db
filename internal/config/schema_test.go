package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestReference holds that the reference file is valid, has nothing to warn of
// and shows every key of the schema.
func TestReference(t *testing.T) {
	s, err := Parse("reference.yaml", Reference(), Warn(func(f *Fault) { t.Errorf("warning: %v", f) }))
	if err != nil {
		t.Fatal(err)
	}
	if s.Node.Name != "gw-a" || len(s.Services) != 6 {
		t.Errorf("got\n%s", s.YAML())
	}
	root, fault := read(string(Reference()))
	if fault != nil {
		t.Fatal(fault)
	}
	shown := map[string]bool{}
	showKeys(root, "", shown)
	keys := schemaKeys(decodeSchema(t), "")
	if len(keys) < 35 {
		t.Errorf("the schema has only %d keys: %v", len(keys), keys)
	}
	for _, key := range keys {
		if !shown[key] {
			t.Errorf("%s is not in the reference file", key)
		}
	}
}

// TestReferenceDefaults holds that what the reference calls a default is one:
// without its values, most settings stay the same.
func TestReferenceDefaults(t *testing.T) {
	reference, bare := mustParse(t, string(Reference())), mustParse(t, "{}")
	reference.Node.Metrics, reference.Dataplane.Interfaces = "", nil
	reference.Dataplane.Decap = Decap{}
	reference.Guard = Guard{Challenge: reference.Guard.Challenge}
	for _, c := range Diff(bare, reference) {
		if !strings.HasPrefix(c.Path, "services[") && !strings.HasPrefix(c.Path, "virtual_clusters[") && !strings.HasPrefix(c.Path, "nodes.") {
			t.Errorf("%s: the default is %q and the reference says %q", c.Path, c.Old, c.New)
		}
	}
	if got := reference.Services[0].HealthCheck; got != defaults.Service.HealthCheck {
		t.Errorf("health check of the reference is %+v, the default %+v", got, defaults.Service.HealthCheck)
	}
}

// showKeys notes the path of each key in a file, without indexes and with a
// star for names that the operator chose.
func showKeys(n *node, p string, shown map[string]bool) {
	for _, item := range n.items {
		showKeys(item, p, shown)
	}
	for _, pair := range n.pairs {
		key := pair.key.text
		if p == ".nodes" || p == ".nodes.*" || p == ".virtual_clusters.priority" {
			key = "*"
		}
		shown[p+"."+key] = true
		showKeys(pair.value, p+"."+key, shown)
	}
}

// schemaKeys lists the paths of all keys that a schema knows.
func schemaKeys(schema map[string]any, p string) (keys []string) {
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		keys = append(keys, p+"."+name)
		keys = append(keys, schemaKeys(properties[name].(map[string]any), p+"."+name)...)
	}
	if more, ok := schema["additionalProperties"].(map[string]any); ok {
		keys = append(keys, p+".*")
		keys = append(keys, schemaKeys(more, p+".*")...)
	}
	if items, ok := schema["items"].(map[string]any); ok {
		keys = append(keys, schemaKeys(items, p)...)
	}
	for _, either := range asList(schema["anyOf"]) {
		keys = append(keys, schemaKeys(either.(map[string]any), p)...)
	}
	return keys
}

func decodeSchema(t *testing.T) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemaAgrees holds that an editor with the schema and Parse think alike
// about keys, types and words. Files with faults that only a rule can find are
// not here.
func TestSchemaAgrees(t *testing.T) {
	const service = `services: [{listen: "192.0.2.3:22", backends: ["10.0.0.11"], %s}]`
	schema := decodeSchema(t)
	for text, valid := range map[string]bool{
		string(Reference()): true,
		"{}":                true,
		"[]":                false,
		`services: [{listen: "192.0.2.3:22", backends: ["10.0.0.11:22"]}]`: true,
		`services: [{backends: ["10.0.0.11:22"]}]`:                         false,
		`services: [{listen: "192.0.2.3:22", backends: []}]`:               false,
		`services: [{listen: "192.0.2.3", backends: ["10.0.0.11"]}]`:       false,
		`services: {listen: "192.0.2.3:22"}`:                               false,
		fmt.Sprintf(service, "mode: nat"):                                  true,
		fmt.Sprintf(service, "mode: ipip"):                                 true,
		fmt.Sprintf(service, "mode: gue, outer_source: ['10.0.2.0/28']"):   true,
		fmt.Sprintf(service, "mode: gue, outer_source: ['a.example']"):     false,
		fmt.Sprintf(service, "mod: nat"):                                   false,
		fmt.Sprintf(service, "name: 7"):                                    false,
		fmt.Sprintf(service, "name: a b"):                                  false,
		fmt.Sprintf(service, "health_check: {rise: 1}"):                    true,
		fmt.Sprintf(service, "health_check: {rise: 0}"):                    false,
		fmt.Sprintf(service, "health_check: {rise: '1'}"):                  false,
		fmt.Sprintf(service, "health_check: {rise: 1.5}"):                  false,
		fmt.Sprintf(service, "health_check: {interval: 5}"):                false,
		fmt.Sprintf(service, "health_check: {interval: 5s}"):               true,
		fmt.Sprintf(service, "health_check: []"):                           false,
		fmt.Sprintf(service, "source_pool: ['10.0.2.1']"):                  true,
		fmt.Sprintf(service, "source_pool: ['a.example']"):                 false,
		"node: {name: true}":                                               false,
		"node: {name: ~}":                                                  false,
		"node: {name: '${a}'}":                                             false,
		"node: {data_dir: x}":                                              false,
		"node: {metrics: ':9422'}":                                         true,
		"node: {metrics: '9422'}":                                          false,
		"nodes: {gw-a: {a: 1, b: true, c: x}}":                             true,
		"nodes: {gw-a: {a: []}}":                                           false,
		"nodes: {gw-a: {A: b}}":                                            false,
		"nodes: {'g w': {}}":                                               false,
		"dataplane: {max_flows: 1023}":                                     false,
		"dataplane: {interfaces: ['a/b']}":                                 false,
		"nodes: {gw-a: {a: x}}\ndataplane: {interfaces: ['${a}']}":         true,
		"nodes: {gw-a: {n: 4096}}\ndataplane: {max_flows: '${n}'}":         true,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		problem := violation(schema, value, "")
		if got := problem == ""; got != valid {
			t.Errorf("the schema takes\n%s\n%v, want %v %s", text, got, valid, problem)
		}
		if _, err := Parse("f.yaml", []byte(text), Hostname("gw-a")); (err == nil) != valid {
			t.Errorf("Parse takes\n%s\n%v, want %v", text, err == nil, valid)
		}
	}
}

// TestSchemaDefaults holds that the schema tells an editor the defaults that
// are in force.
func TestSchemaDefaults(t *testing.T) {
	at := func(keys ...string) any {
		s := decodeSchema(t)
		for _, key := range keys {
			s = s[key].(map[string]any)
		}
		return s["default"]
	}
	service := []string{"properties", "services", "items", "properties"}
	got := []any{
		at("properties", "node", "properties", "data_dir"),
		at("properties", "node", "properties", "metrics"),
		at("properties", "dataplane", "properties", "max_flows"),
		at("properties", "dataplane", "properties", "lifetimes", "properties", "established"),
		at(append(service, "mode")...),
		at(append(service, "listen")...),
		at(append(service, "health_check", "properties", "fall")...),
	}
	want := []any{"/var/lib/sluice", nil, 262144.0, "120h", "nat", nil, 3.0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSchemaDescribes holds that an editor can show for each key what it means
// and, unless the key must be there, what leaving it out does.
func TestSchemaDescribes(t *testing.T) {
	var walk func(s map[string]any, p string)
	walk = func(s map[string]any, p string) {
		required := asList(s["required"])
		properties, _ := s["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			property := properties[name].(map[string]any)
			text, _ := property["description"].(string)
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s.%s: the description is %q, want sentences", p, name, text)
			}
			_, hasDefault := property["default"]
			section := property["type"] == "object" || property["type"] == "array"
			if !hasDefault && !section && !slices.Contains(required, any(name)) && !strings.Contains(text, "Left out: ") {
				t.Errorf("%s.%s: nobody says what leaving it out does", p, name)
			}
			walk(property, p+"."+name)
		}
		if items, ok := s["items"].(map[string]any); ok {
			walk(items, p)
		}
		for _, either := range asList(s["anyOf"]) {
			walk(either.(map[string]any), p)
		}
	}
	walk(decodeSchema(t), "")
}
