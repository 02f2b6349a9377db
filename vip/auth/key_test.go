package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sluice/vip/auth"
)

func TestKeyLimits(t *testing.T) {
	for size := range 100 {
		_, err := auth.NewKey(make([]byte, size))
		if ok := size >= 32 && size <= 64; ok != (err == nil) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	key, err := auth.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		current uint8
		keys    map[uint8]auth.Key
	}{
		"id 0":         {1, map[uint8]auth.Key{0: key, 1: key}},
		"no current":   {2, map[uint8]auth.Key{1: key}},
		"current is 0": {0, map[uint8]auth.Key{1: key}},
		"empty key":    {1, map[uint8]auth.Key{1: {}}},
		"none":         {1, nil},
	} {
		if _, err := auth.NewKeys(row.current, row.keys); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestParseKey(t *testing.T) {
	const digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	for text, ok := range map[string]bool{
		"hex:" + digits:                 true,
		"hex:" + digits + "f":           false,
		"hex:" + digits[:62] + "zz":     false,
		"hex:" + digits[:62]:            false,
		strings.Repeat("passphrase", 4): true,
		"too short":                     false,
		"":                              false,
	} {
		_, err := auth.ParseKey(text)
		if ok != (err == nil) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && (strings.Contains(err.Error(), "zz") || strings.Contains(err.Error(), digits[:8])) {
			t.Errorf("the error shows some of the key: %v", err)
		}
	}
}

// However a key is printed, alone or within something, it is not shown.
func TestKeysNeverPrint(t *testing.T) {
	secret := []byte("tell nobody that this is a secret!")
	key, err := auth.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	keys := keySet(t, 3, map[uint8][]byte{3: secret})
	type holder struct {
		Exported auth.Key
		hidden   auth.Key
		keys     *auth.Keys
	}
	h := holder{key, key, keys}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		for _, v := range []any{key, &key, h, &h, []auth.Key{key}, map[int]auth.Key{1: key}, keys, h.hidden, h.keys} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, v := range []any{key, &key, h, map[string]any{"k": key}, keys} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("log", "key", key, "pointer", &key, "holder", h, "keys", keys)
	}
	printed := strings.ToLower(out.String())
	decimal := strings.Trim(fmt.Sprint(secret[:6]), "[]")
	for _, shown := range []string{"tell nobody", fmt.Sprintf("%x", secret[:6]), decimal} {
		if strings.Contains(printed, shown) {
			t.Errorf("shown as %q in %s", shown, printed)
		}
	}
	if !strings.Contains(printed, "[authentication key]") {
		t.Errorf("not even its name: %s", printed)
	}
}
