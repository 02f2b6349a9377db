package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions([]string{"--sluice", self}, io.Discard)
	want := options{name: "lab", gateways: 1, backends: 3, mode: "nat", clientAddress: "hide", sluice: self, settle: settleTime}
	if err != nil || o != want {
		t.Errorf("defaults are %+v (%v), want %+v", o, err, want)
	}
	o, err = parseOptions([]string{"--once", "--built-in", "--name=x-1", "--gateways", "3", "--backends", "7", "--mode", "dsr", "--sluice", self}, io.Discard)
	want = options{once: true, builtIn: true, name: "x-1", gateways: 3, backends: 7, mode: "dsr", clientAddress: "hide", sluice: self, settle: settleTime}
	if err != nil || o != want {
		t.Errorf("options are %+v (%v), want %+v", o, err, want)
	}
	tests := map[string]struct {
		args []string
		says string
	}{
		"unknown":         {[]string{"--nix"}, "nix"},
		"operand":         {[]string{"up"}, `unexpected "up"`},
		"one backend":     {[]string{"--backends", "1"}, "second one"},
		"many backends":   {[]string{"--backends", "201"}, "2 to 200"},
		"no gateway":      {[]string{"--gateways", "0"}, "1 to 3"},
		"many gateways":   {[]string{"--gateways", "4"}, "1 to 3"},
		"mode":            {[]string{"--mode", "ipip"}, "nat or dsr"},
		"client address":  {[]string{"--client-address", "proxy_v2"}, "hide or keep"},
		"keep in dsr":     {[]string{"--mode", "dsr", "--client-address", "keep"}, "is for nat"},
		"path as name":    {[]string{"--name", "../etc"}, "--name"},
		"long name":       {[]string{"--name", strings.Repeat("x", 21)}, "--name"},
		"pattern as name": {[]string{"--name", "l.b"}, "--name"},
		"no program":      {[]string{"--sluice", "/no/such"}, "make build"},
		"no executable":   {[]string{"--sluice", "options_test.go"}, "make build"},
		"help":            {[]string{"--help"}, "usage: lab"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			if _, err := parseOptions(tt.args, &stderr); err == nil {
				t.Error("accepted")
			}
			if !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("it said %q, want %q", stderr.String(), tt.says)
			}
		})
	}
}

// "go run" starts us with a relative path to the program, which we start from
// elsewhere.
func TestSluiceIsMadeAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bin/sluice", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions(nil, io.Discard)
	if err != nil || o.sluice != filepath.Join(dir, "bin/sluice") {
		t.Errorf("sluice is %q (%v)", o.sluice, err)
	}
}
