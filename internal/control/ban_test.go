package control

import "testing"

func TestParseBanPrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7":         "192.0.2.7/32",
		"::ffff:192.0.2.7":  "192.0.2.7/32",
		"192.0.2.0/24":      "192.0.2.0/24",
		"0.0.0.0/0":         "0.0.0.0/0",
		"2001:db8::7":       "2001:db8::/64",
		"2001:db8::7/128":   "2001:db8::7/128",
		"2001:db8:1:2::/64": "2001:db8:1:2::/64",
	} {
		if p, err := ParseBanPrefix(text); err != nil || p.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "host", "192.0.2.7/24", "192.0.2.0/33", "192.0.2.0/", "fe80::1%eth0", "::ffff:192.0.2.0/120", "192.0.2.7:22"} {
		if p, err := ParseBanPrefix(text); err == nil {
			t.Errorf("%q was read as %s", text, p)
		}
	}
}

// TestBanRefused: what cannot be a ban never reaches the node.
func TestBanRefused(t *testing.T) {
	m := &memory{}
	c := dial(t, serve(t, New(m.options())))
	for name, q := range map[string]BanRequest{
		"no prefix":   {},
		"two lines":   {Prefix: "192.0.2.7", Reason: "a\nb"},
		"long reason": {Prefix: "192.0.2.7", Reason: string(make([]byte, maxReason+1))},
	} {
		if _, err := c.Ban(t.Context(), q); !IsCode(err, CodeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Unban(t.Context(), "host"); !IsCode(err, CodeInvalid) {
		t.Errorf("unban host: %v", err)
	}
	if got := m.last(); got != "" {
		t.Errorf("the node was asked: %s", got)
	}
}
