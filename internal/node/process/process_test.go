package process

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBootRoundTrip(t *testing.T) {
	for name, want := range map[string]Boot{
		"all": {Settings: "/etc/s.yaml", Pins: "/sys/fs/bpf/sluice", DataDir: "/var/lib/sluice", Socket: "/run/sluice/control.sock",
			Name: "gw-a", Metrics: ":9422", User: "sluice", Again: true, Report: 3, Alive: time.Second},
		"spaces": {Settings: "/a b/-c", Pins: "/ ", DataDir: "/=", Socket: "/--"},
	} {
		t.Run(name, func(t *testing.T) {
			args := want.Args()
			if args[0] != Command {
				t.Errorf("first argument is %q", args[0])
			}
			got, err := ParseBoot(args[1:])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseBootRefuses(t *testing.T) {
	good := Boot{Settings: "/s", Pins: "/p", DataDir: "/d", Socket: "/c"}.Args()[1:]
	for name, args := range map[string][]string{
		"nothing":         nil,
		"unknown flag":    append([]string{"-force", "1"}, good...),
		"relative path":   {"-settings", "s", "-pins", "/p", "-data", "/d", "-socket", "/c"},
		"missing path":    {"-settings", "/s", "-pins", "/p", "-data", "/d"},
		"further words":   append(good, "more"),
		"negative report": append([]string{}, append(good, "-report", "-1")...),
		"negative alive":  append([]string{}, append(good, "-alive", "-1s")...),
		"bad duration":    append([]string{}, append(good, "-alive", "often")...),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := ParseBoot(args)
			if err == nil {
				t.Fatalf("read as %+v", b)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has several lines: %q", err)
			}
		})
	}
}

// What is read is written again as it was.
func FuzzParseBoot(f *testing.F) {
	f.Add("-settings\x00/s\x00-pins\x00/p\x00-data\x00/d\x00-socket\x00/c")
	f.Add("-pins=/p\x00--\x00x")
	f.Fuzz(func(t *testing.T, line string) {
		b, err := ParseBoot(strings.Split(line, "\x00"))
		if err != nil {
			return
		}
		again, err := ParseBoot(b.Args()[1:])
		if err != nil || again != b {
			t.Errorf("%+v came back as %+v, %v", b, again, err)
		}
	})
}
