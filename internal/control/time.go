package control

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// What people write is a duration as in the settings ("10m"); what scripts
// read is a number of seconds. The two types keep the directions apart.

// Seconds is a length of time in an answer: a decimal number of seconds.
type Seconds time.Duration

// MarshalJSON implements [json.Marshaler].
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Seconds())
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Seconds) UnmarshalJSON(data []byte) error {
	var f float64
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("parse seconds %s: want a number", data)
	}
	ns := math.Round(f * float64(time.Second))
	// The float nearest to the largest duration is one above it.
	if ns >= math.MaxInt64 || ns <= math.MinInt64 {
		return fmt.Errorf("parse seconds %s: out of range", data)
	}
	*s = Seconds(ns)
	return nil
}

// Duration is a length of time in a request: text such as "1h30m", never
// negative.
type Duration time.Duration

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// ParseDuration reads a length of time as requests carry it: Go's notation,
// not negative.
func ParseDuration(text string) (time.Duration, error) {
	v, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("parse duration %q: want a number with a unit, such as 90s, 15m or 2h", text)
	}
	if v < 0 {
		return 0, fmt.Errorf("parse duration %q: must not be negative", text)
	}
	return v, nil
}
