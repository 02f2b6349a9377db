package control

import (
	"encoding/json"
	"testing"
	"time"
)

func TestSecondsRoundTrip(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Millisecond: "0.001", 1500 * time.Millisecond: "1.5", 120 * time.Hour: "432000", -time.Second: "-1",
	} {
		text, err := json.Marshal(Seconds(d))
		if err != nil || string(text) != want {
			t.Errorf("%v became %s (%v), want %s", d, text, err, want)
		}
		var got Seconds
		if err := json.Unmarshal(text, &got); err != nil || time.Duration(got) != d {
			t.Errorf("%s became %v (%v), want %v", text, time.Duration(got), err, d)
		}
	}
}

func TestSecondsRefuses(t *testing.T) {
	for _, text := range []string{`"1s"`, `"1"`, `true`, `[]`, `1e300`, `-1e300`, `9223372037`, `-9223372037`} {
		var s Seconds
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s was read as %v", text, time.Duration(s))
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "-1s", "1d", "soon", "1e9h", "1s ", "9999999h"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, text := range []string{"1h30m", "0", "-5s", "1.5h", "999999h", "1ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d Duration
		if d.UnmarshalText([]byte(text)) != nil {
			return
		}
		if d < 0 {
			t.Fatalf("%q is negative: %v", text, time.Duration(d))
		}
		again, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var e Duration
		if err := e.UnmarshalText(again); err != nil || e != d {
			t.Fatalf("%q became %s and then %v (%v)", text, again, time.Duration(e), err)
		}
	})
}
