package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// counted is a backend that carried one upload.
func counted() backend {
	return backend{PacketsIn: 900, BytesIn: payload + 50_000, PacketsOut: 500, BytesOut: 30_000, FlowsOpened: 1}
}

func TestJudge(t *testing.T) {
	change := func(fn func(*backend)) backend {
		b := counted()
		fn(&b)
		return b
	}
	tests := map[string]struct {
		gained map[string]backend
		mode   string
		want   string // "" if all is well
	}{
		"right":            {map[string]backend{"b1": counted(), "b2": {}}, "nat", ""},
		"right in dsr":     {map[string]backend{"b1": change(func(b *backend) { b.PacketsOut, b.BytesOut, b.FlowsNow = 0, 0, 1 })}, "dsr", ""},
		"others live on":   {map[string]backend{"b1": counted(), "b2": {FlowsNow: 7}}, "nat", ""},
		"unknown":          {map[string]backend{"b2": counted()}, "nat", "no counter knows"},
		"none":             {map[string]backend{"b1": {}}, "nat", "0 flows"},
		"two flows":        {map[string]backend{"b1": change(func(b *backend) { b.FlowsOpened = 2 })}, "nat", "2 flows"},
		"flow elsewhere":   {map[string]backend{"b1": counted(), "b2": {FlowsOpened: 1}}, "nat", "b2 counted 1 flows"},
		"packet elsewhere": {map[string]backend{"b1": counted(), "b2": {PacketsIn: 1}}, "nat", "b2 counted 0 flows and 1 packets"},
		"too few bytes":    {map[string]backend{"b1": change(func(b *backend) { b.BytesIn = payload - 1 })}, "nat", "of payload"},
		"too many bytes":   {map[string]backend{"b1": change(func(b *backend) { b.BytesIn = payload + slack + 1 })}, "nat", "of payload"},
		"nothing back":     {map[string]backend{"b1": change(func(b *backend) { b.PacketsOut = 0 })}, "nat", "way back"},
		"no bytes back":    {map[string]backend{"b1": change(func(b *backend) { b.BytesOut = 0 })}, "nat", "way back"},
		"not over":         {map[string]backend{"b1": change(func(b *backend) { b.FlowsNow = 1 })}, "nat", "still counts"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := judge(tt.gained, "b1", tt.mode)
			if tt.want != "" {
				wantError(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAtRest(t *testing.T) {
	tests := map[string]struct {
		gained map[string]backend
		mode   string
		want   string // "" if at rest
	}{
		"nothing":           {map[string]backend{"b1": {}, "b2": {}}, "nat", ""},
		"packets in":        {map[string]backend{"b1": {}, "b2": {PacketsIn: 1}}, "nat", "b2 still has traffic"},
		"packets out":       {map[string]backend{"b1": {PacketsOut: 1}}, "nat", "b1 still has traffic"},
		"a flow":            {map[string]backend{"b1": {FlowsNow: 2}}, "nat", "b1 still counts 2 flows"},
		"an unseen end":     {map[string]backend{"b1": {FlowsNow: 2}}, "dsr", ""},
		"packets in in dsr": {map[string]backend{"b1": {PacketsIn: 1}}, "dsr", "still has traffic"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := (&lab{options: options{mode: tt.mode}}).atRest(tt.gained)
			if tt.want != "" {
				wantError(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// The last packets of a session that ended are waited for, and what never comes
// to rest is said.
func TestQuiet(t *testing.T) {
	answer := func(packets string) string {
		return `echo '{"backends": [{"name": "b1", "packets_in": '` + packets + `'}]}'`
	}
	count := `n=$(cat "$0.n" 2>/dev/null || echo 0); n=$((n+1)); echo $n > "$0.n"; `
	l := &lab{options: options{mode: "nat", settle: 20 * time.Second}}
	l.sluice = program(t, count+`[ $n -gt 3 ] && n=3; `+answer("$n"))
	got, err := l.quiet(t.Context())
	if err != nil || got["b1"].PacketsIn != 3 {
		t.Errorf("at rest the counters are %+v (%v), want 3 packets", got, err)
	}
	l.settle = time.Second
	l.sluice = program(t, count+answer("$n"))
	_, err = l.quiet(t.Context())
	wantError(t, err, "b1 still has traffic")
}

func TestDifference(t *testing.T) {
	before := map[string]backend{"b1": {PacketsIn: 10, BytesIn: 100, PacketsOut: 5, BytesOut: 50, FlowsOpened: 2, FlowsNow: 2}}
	after := map[string]backend{
		"b1": {PacketsIn: 11, BytesIn: 120, PacketsOut: 8, BytesOut: 90, FlowsOpened: 7, FlowsNow: 1},
		"b2": {PacketsIn: 3},
	}
	want := map[string]backend{
		"b1": {PacketsIn: 1, BytesIn: 20, PacketsOut: 3, BytesOut: 40, FlowsOpened: 5, FlowsNow: 1},
		"b2": {PacketsIn: 3},
	}
	if diff := cmp.Diff(want, difference(before, after)); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
}

func TestReadLine(t *testing.T) {
	r := strings.NewReader("b1\nrest")
	if line, err := readLine(r); err != nil || line != "b1" {
		t.Errorf("line is %q (%v)", line, err)
	}
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "rest" {
		t.Errorf("readLine took more than the line: %q is left (%v)", rest, err)
	}
	if _, err := readLine(strings.NewReader("no end")); !errors.Is(err, io.EOF) {
		t.Errorf("a cut line: %v", err)
	}
	_, err := readLine(strings.NewReader(strings.Repeat("x", 5000)))
	wantError(t, err, "too long")
}

func TestEcho(t *testing.T) {
	tests := map[string]struct {
		answer func(io.ReadWriter)
		want   string
	}{
		"the same": {func(c io.ReadWriter) { _, _ = io.CopyN(c, c, int64(len("still here\n"))) }, ""},
		"another": {func(c io.ReadWriter) {
			_, _ = io.ReadFull(c, make([]byte, len("still here\n")))
			_, _ = io.WriteString(c, "somebody else\n")
		}, "somebody else"},
		"nothing": {func(io.ReadWriter) {}, "pipe"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				tt.answer(far)
				far.Close()
			}()
			err := echo(near)
			if tt.want != "" {
				wantError(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
