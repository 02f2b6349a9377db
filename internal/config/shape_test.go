package config

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cluster is a section of the kind that later features add: everything that
// shapes can do, in one place.
type cluster struct {
	Name     string
	VRID     int
	Priority map[string]int
	Members  []member
	Secret   string
	Pings    map[string]member
	Preempt  bool
}

type member struct {
	Host string
	Wait time.Duration
}

var memberShape = record[member]{
	noun:     "a mapping about a member",
	defaults: member{Wait: time.Second},
	alone:    "host",
	fields: []field[member]{
		key("host", "A name.", func(m *member) *string { return &m.Host }, text(`^[a-z]+$`, "a host", "a")).must(),
		key("wait", "A time.", func(m *member) *time.Duration { return &m.Wait }, duration(0, time.Minute)),
	},
}

var clusterShape = record[cluster]{
	noun:     "a mapping about a cluster",
	defaults: cluster{VRID: 51},
	fields: []field[cluster]{
		key("name", "A name.", func(c *cluster) *string { return &c.Name }, text(`^[a-z$]`, "a name", "a")).ofNode().restarts(),
		key("vrid", "A number.", func(c *cluster) *int { return &c.VRID }, integer(1, 255)),
		key("priority", "Numbers by name.", func(c *cluster) *map[string]int { return &c.Priority },
			table[int]{of: integer(0, 9), noun: "a node", name: nodeName, most: 3}),
		key("members", "Members.", func(c *cluster) *[]member { return &c.Members },
			list[member]{of: memberShape, noun: "members", fresh: memberShape.defaults, most: 2, id: func(m member) string { return m.Host }}),
		key("pings", "Members by name.", func(c *cluster) *map[string]member { return &c.Pings },
			table[member]{of: memberShape, noun: "an interface", name: nodeName, most: 3}).restarts(),
	},
}

// readCluster reads a section from a text.
func readCluster(t *testing.T, text string) (cluster, []string) {
	t.Helper()
	n, fault := read(text)
	if fault != nil {
		t.Fatal(fault)
	}
	s := Settings{Node: Node{Name: "gw-a"}, Nodes: map[string]map[string]string{"gw-a": {"v": "7", "h": "abc"}}}
	r := reader{places: map[path]position{}, variables: variables{settings: &s, used: map[string]bool{}}}
	c := clusterShape.defaults
	clusterShape.read(&r, n, "c", &c)
	var faults []string
	for _, f := range r.faults.List {
		faults = append(faults, f.Error())
	}
	return c, faults
}

func TestShapeRead(t *testing.T) {
	got, faults := readCluster(t, `
name: a
vrid: "${v}"
priority: {gw-a: 1, gw-b: "${v}"}
members: [a, {host: "${h}", wait: 2s}]
pings: {x: {host: b}, y: c}
`)
	want := cluster{
		Name: "a", VRID: 7, Priority: map[string]int{"gw-a": 1, "gw-b": 7},
		Members: []member{{"a", time.Second}, {"abc", 2 * time.Second}},
		// A table starts its values from nothing: it has no defaults.
		Pings: map[string]member{"x": {Host: "b"}, "y": {Host: "c"}},
	}
	if !reflect.DeepEqual(got, want) || faults != nil {
		t.Errorf("got  %+v, %v\nwant %+v", got, faults, want)
	}
}

func TestShapeFaults(t *testing.T) {
	got, faults := readCluster(t, `
name: ${v}
vrid: 0
priority: {gw-a: x, b: 1, gw-a: 2, c: 3}
members: [1, [a], {wait: 2}]
pings: [a]
`)
	if diff := cmp.Diff([]string{
		":2:7: c.name: holds a variable, which node and nodes cannot; write the value itself",
		`:3:7: c.vrid: "0" is not a whole number within limits; write one from 1 to 255`,
		":4:27: c.priority.gw-a: repeats the key of line 4; keep one of the two",
		":4:18: c.priority.gw-a: is text and must be a number; write it without quotes, such as 0",
		":4:36: c.priority.c: 4 keys are more than the limit of 3; keep what fits",
		`:5:11: c.members[0]: "1" is not a host; write one such as a`,
		":5:14: c.members[1]: is a list and must be a mapping about a member; write its keys, host, wait, each with a value",
		":5:19: c.members[2]: 3 members are more than the limit of 2; keep what fits",
		":6:8: c.pings: is a list and must be a mapping by the name of an interface; write {name: ...}",
	}, faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What could not be read is zero, so that rules between values pass over it.
	want := cluster{Priority: map[string]int{"gw-a": 0, "b": 1}, Members: []member{{Wait: time.Second}, {}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestShapePrint(t *testing.T) {
	c := cluster{
		Name: "a", VRID: 7, Priority: map[string]int{"q": 2, "p": 1},
		Members: []member{{"a", time.Second}}, Pings: map[string]member{"p": {Host: "${h}"}},
	}
	const want = `name: a
vrid: 7
priority: {p: 1, q: 2}
members:
  - {host: a, wait: 1s}
pings:
  p: {host: "$${h}", wait: 0s}
`
	if diff := cmp.Diff(want, string(write(clusterShape.print(c)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := inline(clusterShape.print(cluster{})), "{vrid: 0}"; got != want {
		t.Errorf("nothing set: got %s, want %s", got, want)
	}
}

func TestShapeDiff(t *testing.T) {
	a := cluster{Name: "a", Priority: map[string]int{"x": 1, "y": 2}, Members: []member{{"a", 1}, {"b", 2}}, Pings: map[string]member{"p": {Host: "h"}}}
	b := cluster{Name: "b", Priority: map[string]int{"x": 3, "z": 2}, Members: []member{{"b", 3}, {"c", 4}}, Pings: map[string]member{"p": {Host: "i"}}}
	var got []Change
	clusterShape.diff(a, b, "", func(c Change) { got = append(got, c) })
	want := []Change{
		{Path: "name", Old: "a", New: "b", NeedsRestart: true},
		{Path: "priority.y", Old: "2"},
		{Path: "priority.x", Old: "1", New: "3"},
		{Path: "priority.z", New: "2"},
		{Path: "members[a]", Old: "{host: a, wait: 1ns}"},
		{Path: "members[b].wait", Old: "2ns", New: "3ns"},
		{Path: "members[c]", New: "{host: c, wait: 4ns}"},
		{Path: "pings.p.host", Old: "h", New: "i", NeedsRestart: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShapeSchema(t *testing.T) {
	s := clusterShape.schema(true)
	properties := s["properties"].(object)
	if diff := cmp.Diff([]string{"members", "name", "pings", "priority", "vrid"}, slices.Sorted(maps.Keys(properties))); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	vrid := properties["vrid"].(object)
	if vrid["default"] == nil || vrid["description"] != "A number." || vrid["anyOf"] == nil {
		t.Errorf("vrid: got %v", vrid)
	}
	// A key of one node holds no variables, and says that it needs a restart.
	name := properties["name"].(object)
	if name["anyOf"] != nil || name["description"] != "A name. A change takes effect with the next start." {
		t.Errorf("name: got %v", name)
	}
}

func TestShapeUnknownAlone(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a description that names a key it has not is accepted")
		}
	}()
	record[member]{alone: "nobody"}.schema(false)
}

func TestPlace(t *testing.T) {
	r := reader{places: map[path]position{"": {1, 1}, "a": {2, 2}, "a[1]": {3, 3}, "a[1].b": {4, 4}}}
	for p, want := range map[path]position{
		"": {1, 1}, "a": {2, 2}, "a[0]": {2, 2}, "a[1]": {3, 3}, "a[1].c": {3, 3}, "a[1].b": {4, 4},
		"a[1].b.c[7].d": {4, 4}, "x.y": {1, 1}, "ab": {1, 1},
	} {
		if got := r.place(p); got != want {
			t.Errorf("%q: got %v, want %v", p, got, want)
		}
	}
}

func TestPath(t *testing.T) {
	for got, want := range map[path]string{
		path("").key("a"):                        "a",
		path("a").key("b_c-1"):                   "a.b_c-1",
		path("a").key("b.c"):                     `a."b.c"`,
		path("a").key(""):                        `a.""`,
		path("a").item(3).key("b"):               "a[3].b",
		path("services").item("[2001:db8::]:22"): "services[[2001:db8::]:22]",
		path("").key("x\ny"):                     `"x\ny"`,
	} {
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
