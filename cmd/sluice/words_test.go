package main

import (
	"testing"
	"time"
)

func TestBytesText(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB", 10235: "10.0 KiB", 10240: "10.0 KiB",
		102348: "99.9 KiB", 102400: "100 KiB", 1023 * 1024: "1.00 MiB", 1 << 20: "1.00 MiB", 1 << 30: "1.00 GiB", 1<<64 - 1: "16.0 EiB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestSpanText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 1500 * time.Millisecond: "1s", 59 * time.Second: "59s", time.Minute: "1m00s",
		3599 * time.Second: "59m59s", time.Hour: "1h00m", 26 * time.Hour: "1d02h", 120 * time.Hour: "5d00h",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestRateText(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.04: "0", 0.25: "0.3", 9.96: "10", 10.4: "10", 1e6: "1000000"} {
		if got := rateText(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}

func TestSmallWords(t *testing.T) {
	for got, want := range map[string]string{
		plural(1, "flow"):                                "1 flow",
		plural(uint64(0), "flow"):                        "0 flows",
		flowsText(3, true):                               "≤3",
		flowsText(0, true):                               "0",
		listText([]string{"a", "b", "c", "d", "e"}):      "a, b, c, d, e",
		listText([]string{"a", "b", "c", "d", "e", "f"}): "a, b, c, d, e and 1 more",
		orDash(""): "-",
		printable("SSH-2.0-\x1b[2J\u009b\u202eäé"): "SSH-2.0-?[2J??äé",
		timeText(time.Time{}):                      "",
		clip("≤blue", 2):                           "≤b",
		clip("blue", 0):                            "blue",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
