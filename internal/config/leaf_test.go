package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// takes tells whether a leaf accepts a text, and what it prints for it.
func takes[T comparable](l leaf[T], text string) string {
	v, problem, remedy := l.parse(text)
	if problem != "" {
		if remedy == "" {
			return "no remedy for " + problem
		}
		return "refused"
	}
	return l.format(v)
}

// TestLeaves goes to both sides of each limit.
func TestLeaves(t *testing.T) {
	x := strings.Repeat
	for got, want := range map[string]string{
		takes(integer(1, 100), "1"):            "1",
		takes(integer(1, 100), "100"):          "100",
		takes(integer(-5, 100), "-5"):          "-5",
		takes(choice(ModeNAT, ModeDSR), "dsr"): "dsr",

		takes(duration(time.Second, time.Minute), "1s"):      "1s",
		takes(duration(time.Second, time.Minute), "60s"):     "1m",
		takes(duration(time.Second, time.Minute), "59999ms"): "59.999s",

		takes(endpoint(""), "192.0.2.3:65535"):      "192.0.2.3:65535",
		takes(endpoint(""), "192.0.2.3:1"):          "192.0.2.3:1",
		takes(endpoint(""), "[2001:DB8:0:0::3]:22"): "[2001:db8::3]:22",
		takes(endpoint("22"), "192.0.2.4"):          "192.0.2.4:22",
		takes(endpoint("22"), "[2001:db8::4]"):      "[2001:db8::4]:22",
		takes(endpoint("22"), "169.254.1.1:23"):     "169.254.1.1:23",

		takes(address(), "2001:db8::1"):      "2001:db8::1",
		takes(address(), "240.0.0.1"):        "240.0.0.1",
		takes(listener(":1"), ":9422"):       ":9422",
		takes(listener(":1"), "0.0.0.0:1"):   "0.0.0.0:1",
		takes(listener(":1"), "[::]:1"):      "[::]:1",
		takes(listener(":1"), "127.0.0.1:2"): "127.0.0.1:2",

		takes(nodeName, "gw_a.example-1"):      "gw_a.example-1",
		takes(serviceName, x("a", 63)):         x("a", 63),
		takes(serviceName, "1a"):               "1a",
		takes(serviceName, "10.0.0.5:22"):      "10.0.0.5:22",
		takes(serviceName, "[2001:db8::5]:22"): "[2001:db8::5]:22",
		takes(interfaceName, x("i", 15)):       x("i", 15),
		takes(interfaceName, "bond0.7@é"):      "bond0.7@é",
		takes(absolute(4), "/abc"):             "/abc",
		takes(absolute(4), "/"):                "/",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLeavesRefuse(t *testing.T) {
	x := strings.Repeat
	for i, got := range []string{
		takes(integer(1, 100), "0"), takes(integer(1, 100), "101"), takes(integer(1, 100), ""), takes(integer(1, 100), "1_0"),
		takes(integer(1, 100), "+1"), takes(integer(1, 100), " 1"), takes(integer(1, 100), "1.0"), takes(integer(1, 100), "1e1"),
		takes(duration(time.Second, time.Minute), "999ms"), takes(duration(time.Second, time.Minute), "60001ms"),
		takes(duration(0, time.Minute), "-1s"), takes(duration(0, time.Minute), "1 s"), takes(duration(0, time.Minute), "1d"),
		takes(choice(ModeNAT, ModeDSR), "NAT"), takes(choice(ModeNAT, ModeDSR), ""),
		takes(endpoint("22"), "192.0.2.4:"+x("1", 99)), takes(endpoint("22"), "[192.0.2.4]x"), takes(endpoint("22"), "[]:22"),
		takes(address(), "192.0.2.1:22"), takes(address(), "[2001:db8::1]"), takes(address(), "192.0.2.1/32"),
		takes(listener(":1"), ":"), takes(listener(":1"), ""), takes(listener(":1"), "::1:1"), takes(listener(":1"), ":0"),
		takes(nodeName, ""), takes(nodeName, x("a", 64)), takes(nodeName, ".a"),
		takes(serviceName, x("a", 64)), takes(serviceName, "a:22"), takes(serviceName, "2001:db8::5"), takes(serviceName, "10.0.0.5:022"),
		takes(serviceName, "a,b"), takes(serviceName, "ä"), takes(serviceName, "[2001:DB8::5]:22"),
		takes(interfaceName, x("i", 16)), takes(interfaceName, x("é", 8)), takes(interfaceName, "."), takes(interfaceName, ".."),
		takes(interfaceName, "a b"), takes(interfaceName, "a:1"), takes(interfaceName, "a\u00a0b"), takes(interfaceName, "a\x7f"),
		takes(absolute(4), "/abcd"), takes(absolute(4), "a"), takes(absolute(4), "/a/"), takes(absolute(4), "//"), takes(absolute(4), ""),
	} {
		if got != "refused" {
			t.Errorf("row %d: got %s", i, got)
		}
	}
}

// TestSplitPort holds that what netip writes is split where netip does.
func TestSplitPort(t *testing.T) {
	for _, text := range []string{"0.0.0.0:0", "192.0.2.3:22", "[::]:1", "[2001:db8::3]:65535", "[::ffff:1.2.3.4]:5"} {
		want := netip.MustParseAddrPort(text)
		host, port, problem, _ := splitPort(text)
		if problem != "" || host != want.Addr().String() || port != fmt.Sprint(want.Port()) {
			t.Errorf("%s: got %q, %q, %s", text, host, port, problem)
		}
	}
}
