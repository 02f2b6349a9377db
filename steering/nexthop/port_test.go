package nexthop

import (
	"testing"

	"sluice/internal/nettest"
)

func TestPortSpans(t *testing.T) {
	none := Span{1, 0}
	tests := []struct {
		name, text   string
		below, above Span
		fails        bool
	}{
		{"default", "32768\t60999\n", Span{1024, 32767}, Span{61000, 65535}, false},
		{"spaces", " 32768   60999 ", Span{1024, 32767}, Span{61000, 65535}, false},
		{"high end", "32768\t65535\n", Span{1024, 32767}, none, false},
		{"low end", "1024\t4999\n", none, Span{5000, 65535}, false},
		{"one port at each side", "1025\t65534\n", Span{1024, 1024}, Span{65535, 65535}, false},
		{"one port", "40000\t40000\n", Span{1024, 39999}, Span{40001, 65535}, false},
		{"privileged ports only", "1\t1000\n", none, Span{1024, 65535}, false},
		{"up to the privileged ones", "1\t1023\n", none, Span{1024, 65535}, false},
		{"everything", "1024\t65535\n", Span{}, Span{}, true},
		{"more than everything", "1\t65535\n", Span{}, Span{}, true},
		{"backwards", "60999\t32768\n", Span{}, Span{}, true},
		{"one number", "32768\n", Span{}, Span{}, true},
		{"three numbers", "1 2 3\n", Span{}, Span{}, true},
		{"no number", "a b\n", Span{}, Span{}, true},
		{"too large", "32768\t65536\n", Span{}, Span{}, true},
		{"negative", "-1\t65535\n", Span{}, Span{}, true},
		{"empty", "", Span{}, Span{}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			below, above, err := portSpans(test.text)
			if (err != nil) != test.fails {
				t.Fatalf("error = %v, want one: %v", err, test.fails)
			}
			if below != test.below || above != test.above {
				t.Errorf("spans = %v, %v; want %v, %v", below, above, test.below, test.above)
			}
		})
	}
}

func TestPortSpansOfNamespace(t *testing.T) {
	ns := nettest.ForTest(t)
	if err := ns.SetSysctl("net/ipv4/ip_local_port_range", "20000 29999"); err != nil {
		t.Fatal(err)
	}
	err := ns.Do(func() error {
		below, above, err := PortSpans()
		if want := (Span{1024, 19999}); below != want || above != (Span{30000, 65535}) {
			t.Errorf("spans = %v, %v; want %v and the rest above 29999", below, above, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Whatever the sysctl says: spans and local range are disjoint, and together
// they are all ports from 1024 on.
func FuzzPortSpans(f *testing.F) {
	f.Add("32768\t60999\n")
	f.Add("1 65535")
	f.Add("1025 65534")
	f.Fuzz(func(t *testing.T, text string) {
		below, above, err := portSpans(text)
		if err != nil {
			return
		}
		local, err := parseRange(text)
		if err != nil {
			t.Fatal(err)
		}
		for port := firstPort; port <= 65535; port++ {
			count := 0
			for _, s := range []Span{below, above, local} {
				if p := uint16(port); s.Lo <= p && p <= s.Hi {
					count++
				}
			}
			if count != 1 {
				t.Fatalf("port %d is in %d of %v, %v and %v", port, count, below, above, local)
			}
		}
	})
}
