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
			Name: "gw-a", Metrics: ":9422", User: "sluice", Again: true, Restarts: 2, Report: 3, Alive: time.Second},
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
		"nothing":           nil,
		"unknown flag":      append([]string{"-force", "1"}, good...),
		"relative path":     {"-settings", "s", "-pins", "/p", "-data", "/d", "-socket", "/c"},
		"missing path":      {"-settings", "/s", "-pins", "/p", "-data", "/d"},
		"further words":     append(good, "more"),
		"negative report":   append([]string{}, append(good, "-report", "-1")...),
		"negative restarts": append([]string{}, append(good, "-restarts", "-1")...),
		"negative alive":    append([]string{}, append(good, "-alive", "-1s")...),
		"bad duration":      append([]string{}, append(good, "-alive", "often")...),
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

func TestVIPBootRoundTrip(t *testing.T) {
	boot := Boot{Settings: "/s", Pins: "/sys/fs/bpf/sluice", DataDir: "/var/lib/sluice", Socket: "/run/sluice/control.sock", Name: "gw-a", User: "sluice"}
	want := boot.VIP()
	want.Restarts, want.Report = 3, 4
	if want.Socket != "/run/sluice/vip.sock" || want.State != "/var/lib/sluice/vip" {
		t.Errorf("paths of %+v", want)
	}
	got, ours := parseVIPArguments(append([]string{"sluice"}, want.Args()...), boot.Pins)
	if diff := cmp.Diff(want, got); diff != "" || !ours {
		t.Errorf("ours %t: %s", ours, diff)
	}
	for name, args := range map[string][]string{
		"nothing":        nil,
		"a program":      {"sluice"},
		"another verb":   {"sluice", "vip", "swap", "-pins", "/sys/fs/bpf/sluice"},
		"cut short":      append([]string{"sluice"}, want.Args()[:5]...),
		"of other pins":  append([]string{"sluice"}, Boot{Pins: "/q", DataDir: "/d", Socket: "/s"}.VIP().Args()...),
		"further words":  append(append([]string{"sluice"}, want.Args()...), "more"),
		"negative count": append(append([]string{"sluice"}, want.Args()...), "-restarts", "-1"),
		"unknown flag":   append(append([]string{"sluice"}, want.Args()...), "-force"),
	} {
		if b, ours := parseVIPArguments(args, boot.Pins); ours {
			t.Errorf("%s: taken as %+v", name, b)
		}
	}
}

// What is read is written again as it was.
func FuzzParseVIPBoot(f *testing.F) {
	f.Add("-socket\x00/s\x00-state\x00/d\x00-pins\x00/p\x00-restarts\x001")
	f.Fuzz(func(t *testing.T, line string) {
		b, err := ParseVIPBoot(strings.Split(line, "\x00"))
		if err != nil {
			return
		}
		again, err := ParseVIPBoot(b.Args()[len(VIPCommand):])
		if err != nil || again != b {
			t.Errorf("%+v came back as %+v, %v", b, again, err)
		}
	})
}
