package control

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var compareAddresses = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

func TestFlowQuery(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string
		want FlowQuery
	}{
		{"nothing", "", FlowQuery{Sort: SortClient, Limit: DefaultFlowLimit}},
		{"all", "service=sftp&backend=blue1&client=192.0.2.0/24&state=established&min_idle=15m&sort=-idle&offset=200&limit=50", FlowQuery{
			Service: "sftp", Backend: "blue1", Client: netip.MustParsePrefix("192.0.2.0/24"), State: FlowEstablished,
			MinIdle: 15 * time.Minute, Sort: SortIdle, Descending: true, Offset: 200, Limit: 50,
		}},
		{"address", "client=192.0.2.7", FlowQuery{Client: netip.MustParsePrefix("192.0.2.7/32"), Sort: SortClient, Limit: DefaultFlowLimit}},
		{"v6 address", "client=2001:db8::7", FlowQuery{Client: netip.MustParsePrefix("2001:db8::7/128"), Sort: SortClient, Limit: DefaultFlowLimit}},
		{"mapped address", "client=::ffff:192.0.2.7", FlowQuery{Client: netip.MustParsePrefix("192.0.2.7/32"), Sort: SortClient, Limit: DefaultFlowLimit}},
		{"mapped network", "client=::ffff:192.0.2.0/120", FlowQuery{Client: netip.MustParsePrefix("192.0.2.0/24"), Sort: SortClient, Limit: DefaultFlowLimit}},
		{"host bits", "client=192.0.2.7/24", FlowQuery{Client: netip.MustParsePrefix("192.0.2.0/24"), Sort: SortClient, Limit: DefaultFlowLimit}},
	} {
		values, err := url.ParseQuery(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := flowQuery(values)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got, compareAddresses); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestFlowQueryRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"backends=blue":        `"backends": unknown`,
		"limit=1&limit=2":      "more than once",
		"limit=0":              "within 1 to 10000",
		"limit=10001":          "within 1 to 10000",
		"limit=all":            "within 1 to 10000",
		"offset=-1":            "within 0 to",
		"offset=2147483648":    "within 0 to",
		"min_idle=15":          "want a number with a unit",
		"min_idle=-1s":         "negative",
		"sort=size":            `unknown order "size"`,
		"state=up":             `unknown state "up"`,
		"client=login.example": "neither an address nor a network",
		"client=192.0.2.0/33":  "neither an address nor a network",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = flowQuery(values); !IsCode(err, CodeInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestEventFilter(t *testing.T) {
	want := EventFilter{Kinds: []EventKind{EventFlowClosed, EventBackendState}, Service: "sftp", Backend: "blue1"}
	got, err := eventFilter(want.Values())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{"kind=gap", "kind=flow_closed,", "since=1"} {
		values, _ := url.ParseQuery(text)
		if _, err := eventFilter(values); !IsCode(err, CodeInvalid) {
			t.Errorf("%s: error %v, want one of code invalid", text, err)
		}
	}
}

// FuzzFlowQuery checks that what is understood of a query is written and read
// again as the same.
func FuzzFlowQuery(f *testing.F) {
	f.Add("service=sftp&client=192.0.2.0/24&sort=-idle&limit=50")
	f.Add("client=fe80::1%25eth0&min_idle=1h")
	f.Add("state=young&offset=3&backend=%5Bfd00::1%5D:22")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := flowQuery(values)
		if err != nil {
			return
		}
		again, err := flowQuery(q.Values())
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(q, again, compareAddresses); diff != "" {
			t.Fatalf("%q (-first +again):\n%s", text, diff)
		}
	})
}
