package main

import (
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	for text, want := range map[string]patience{
		"true":  {wait: true},
		"false": {},
		"5m":    {wait: true, limit: 5 * time.Minute},
		"0s":    {wait: true},
	} {
		var got patience
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%s: %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "t", "-5m", "soon"} {
		if err := new(patience).Set(text); err == nil {
			t.Errorf("%q was understood", text)
		}
	}
	if got := (&patience{limit: time.Minute}).String(); got != "1m0s" {
		t.Errorf("String is %q", got)
	}
}
