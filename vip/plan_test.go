package vip

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
)

const (
	advertText = "an advert key of 32 bytes, 0123456"
	beatText   = "a heartbeat key of 32 bytes, 012"
)

// samplePlan is gw-a's part in a pair, with everything that a plan may have.
func samplePlan() Plan {
	return Plan{
		Node: "gw-a", Version: "1.2.3", Generation: 7, Watchdog: 3 * time.Second, Steers: true,
		Clusters: []Cluster{{
			VirtualCluster: config.VirtualCluster{
				Name: "edge", VRID: 51, Member: true, Priority: map[string]int{"gw-a": 200, "gw-b": 100}, OwnPriority: 200,
				Peers:          []config.Peer{{Node: "gw-b", Priority: 100, Heartbeat: netip.MustParseAddr("169.254.1.0")}},
				AdvertInterval: 100 * time.Millisecond, Version: 3, Checksum: config.ChecksumPseudoHeader, VirtualMAC: config.VirtualMACAuto,
				Addrs: []config.ClusterAddr{{Interface: "ext0", NodeAddr: "${ext}", Addr: netip.MustParseAddr("192.0.2.1"), Peers: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}},
				Auth:  config.Auth{Mode: config.AuthEnforce, Keys: []config.AuthKey{{ID: 1, File: "/k"}}, Send: 1},
				Heartbeat: config.Heartbeat{
					Interface: "hb0", NodeAddr: "169.254.1.1", Addr: netip.MustParseAddr("169.254.1.1"), Port: 8021, FlowSyncPort: 8022,
					Interval: 50 * time.Millisecond, Timeout: 150 * time.Millisecond,
				},
				VIPs: []config.VIP{
					{Addr: netip.MustParsePrefix("192.0.2.3/24"), Interface: "ext0"},
					{Addr: netip.MustParsePrefix("2001:db8:1::3/64"), Interface: "ext0"},
				},
				Pings:  []config.Ping{{Interface: "ext0", Hosts: []netip.Addr{netip.MustParseAddr("192.0.2.254")}, Interval: time.Second, Timeout: time.Second, Fall: 3, Rise: 2}},
				Notify: []string{"/bin/true", "x"}, NotifyTimeout: time.Second,
				Announce: config.Announce{Repeat: 5, Delay: 5 * time.Second},
			},
			AdvertKeys: map[uint8]Secret{1: NewSecret([]byte(advertText))}, HeartbeatKey: NewSecret([]byte(beatText)),
		}},
	}
}

func same(a, b Plan) bool {
	if len(a.Clusters) != len(b.Clusters) {
		return false
	}
	for i := range a.Clusters {
		if !a.Clusters[i].equal(b.Clusters[i]) {
			return false
		}
	}
	a.Clusters, b.Clusters = nil, nil
	return reflect.DeepEqual(a, b)
}

// A plan is the same after a restart, and after its way from the node: otherwise a
// new process would begin its clusters anew as soon as the node speaks.
func TestPlanRoundTrip(t *testing.T) {
	bare := samplePlan()
	bare.Clusters[0].AdvertKeys, bare.Clusters[0].Auth = nil, config.Auth{Mode: config.AuthOff}
	bare.Clusters[0].Heartbeat, bare.Clusters[0].HeartbeatKey, bare.Clusters[0].Peers = config.Heartbeat{}, Secret{}, nil
	for name, p := range map[string]Plan{"all": samplePlan(), "bare": bare, "none": {Node: "gw-a"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, writePlan(dir, p))
			kept, err := readPlan(dir)
			must(t, err)
			if !same(kept, p) {
				t.Errorf("kept as %+v", kept)
			}
			var wire bytes.Buffer
			var sent Plan
			must(t, gob.NewEncoder(&wire).Encode(p))
			must(t, gob.NewDecoder(&wire).Decode(&sent))
			if !same(sent, kept) {
				t.Errorf("sent as %+v", sent)
			}
			info, err := os.Stat(filepath.Join(dir, planFile))
			must(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v", info.Mode())
			}
			if list, _ := os.ReadDir(dir); len(list) != 1 {
				t.Errorf("left behind: %v", list)
			}
		})
	}
}

// Each secret counts when plans are compared.
func TestPlansDifferBySecrets(t *testing.T) {
	for name, edit := range map[string]func(*Cluster){
		"heartbeat":  func(c *Cluster) { c.HeartbeatKey = NewSecret([]byte("another")) },
		"advert":     func(c *Cluster) { c.AdvertKeys = map[uint8]Secret{1: NewSecret([]byte("another"))} },
		"more":       func(c *Cluster) { c.AdvertKeys[2] = NewSecret([]byte("another")) },
		"none":       func(c *Cluster) { c.AdvertKeys = nil },
		"a priority": func(c *Cluster) { c.Priority["gw-b"] = 1 },
	} {
		p, o := samplePlan(), samplePlan()
		edit(&o.Clusters[0])
		if p.Clusters[0].equal(o.Clusters[0]) {
			t.Errorf("%s: the same", name)
		}
	}
}

func TestBrokenPlanFile(t *testing.T) {
	dir := t.TempDir()
	if p, err := readPlan(dir); err != nil || !same(p, Plan{}) {
		t.Errorf("no file: %+v, %v", p, err)
	}
	must(t, writePlan(dir, samplePlan()))
	path := filepath.Join(dir, planFile)
	text, err := os.ReadFile(path)
	must(t, err)
	keyless := samplePlan()
	keyless.Clusters[0].HeartbeatKey = Secret{}
	noKey, err := json.Marshal(keyless)
	must(t, err)
	for name, broken := range map[string][]byte{
		"empty": {}, "half": text[:len(text)/2], "no JSON": []byte("plan"), "no object": []byte("[]"), "secrets lost": noKey,
		"wrong type": bytes.Replace(text, []byte(`"VRID":51`), []byte(`"VRID":"`+beatText+`"`), 1),
	} {
		must(t, os.WriteFile(path, broken, 0o600))
		p, err := readPlan(dir)
		if err == nil || !strings.HasPrefix(err.Error(), "read plan: ") || !same(p, Plan{}) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if err := writePlan(filepath.Join(dir, "absent"), samplePlan()); err == nil {
		t.Error("written where there is no directory")
	}
}

func TestPlanCheck(t *testing.T) {
	for want, edit := range map[string]func(*Plan){
		`"edge" is there twice`: func(p *Plan) { p.Clusters = append(p.Clusters, p.Clusters[0]) },
		`"gw-a" has no part`:    func(p *Plan) { p.Clusters[0].Member = false },
		`heartbeat has no key`:  func(p *Plan) { p.Clusters[0].HeartbeatKey = NewSecret([]byte("short")) },
	} {
		p := samplePlan()
		must(t, p.Check())
		edit(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestParseAdvertKey(t *testing.T) {
	const text = "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		in   string
		want string // "" is refused
	}{
		"text": {text, text}, "a line": {text + "\n", text}, "of Windows": {text + "\r\n", text},
		"hex": {"hex:" + text + text, "hex:" + text + text}, "short": {text[1:], ""}, "odd": {"hex:" + text + text + "1", ""},
		"long": {strings.Repeat("x", 65), ""}, "empty": {"", ""},
	} {
		got, err := ParseAdvertKey([]byte(c.in))
		if (err == nil) != (c.want != "") || string(got.reveal()) != c.want {
			t.Errorf("%s: %q, %v", name, got.reveal(), err)
		}
		if err != nil && c.in != "" && strings.Contains(err.Error(), c.in) {
			t.Errorf("%s: the error tells the key: %v", name, err)
		}
	}
}

// However a plan comes into a log or an error, its secrets do not.
func TestPlanShowsNoSecret(t *testing.T) {
	p := samplePlan()
	holder := struct {
		plan *Plan
		deep Plan
		key  Secret
	}{&p, p, p.Clusters[0].HeartbeatKey}
	var shown bytes.Buffer
	for _, v := range []any{p, &p, p.Clusters[0], p.Clusters, holder, &holder, p.Clusters[0].HeartbeatKey, &holder.key, p.Clusters[0].AdvertKeys} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d", "%08b", "%p"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		fmt.Fprintln(&shown, v, fmt.Errorf("apply: %v", v))
		for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(h).Info("plan", "value", v, slog.Any("again", v), slog.Group("in", "it", v))
		}
		text, err := json.Marshal(v)
		must(t, err)
		shown.Write(text)
		text, err = json.Marshal(map[string]any{"error": fmt.Errorf("%v", v).Error(), "plan": v})
		must(t, err)
		shown.Write(text)
	}
	for _, secret := range []string{advertText, beatText} {
		b := []byte(secret)
		for _, form := range []string{
			secret, hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), base64.StdEncoding.EncodeToString(b),
			fmt.Sprint(b), strings.Trim(fmt.Sprintf("%08b", b), "[]"), strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"),
		} {
			if strings.Contains(shown.String(), form) {
				t.Errorf("shown as %q", form)
			}
		}
	}
	if !strings.Contains(shown.String(), "[secret]") {
		t.Error("nothing stands in its place")
	}
}
