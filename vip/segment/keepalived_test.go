package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// Real VRRP of another make is heard, and hears us: an advert of higher
// priority makes it step down.
func TestKeepalived(t *testing.T) {
	nettest.Require(t, nettest.Program("keepalived"))
	for _, c := range []struct {
		name    string
		version int
		family  int
		unicast bool
	}{
		{"v3 IPv4", 3, 4, false},
		{"v3 IPv6", 3, 6, false},
		{"v3 IPv4 unicast", 3, 4, true},
		{"v2", 2, 4, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 2)
			o := Options{Family: c.family, MAC: virtual[c.family]}
			extra := ""
			if c.unicast {
				o.Source, o.Peers = own4(0), []netip.Addr{own4(1)}
				extra = "unicast_src_ip 10.9.0.2\n unicast_peer {\n 10.9.0.1\n }\n"
			}
			a := w.open(t, 0, o)
			log := w.keepalived(t, c.version, c.family, extra)
			eventually(t, "keepalived is active", func() bool { return log.has("Entering MASTER STATE") })
			p := hear(t, a.heard)
			if p.TTL != 255 || len(p.Payload) < 8 || p.Payload[0] != byte(c.version<<4|1) || p.Payload[1] != 51 || p.Payload[2] != 100 {
				t.Fatalf("heard %+v", p)
			}
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			// It enters BACKUP STATE when it starts, too: this is the reason.
			for !log.has("with higher priority 200, ours 100") {
				to := a.Destinations()[0]
				must(t, a.Send(to, handmade(c.version, a.Source(), to)))
				<-tick.C
				if log.after(20 * time.Second) {
					t.Fatalf("it does not step down; its log:\n%s", log)
				}
			}
			eventually(t, "it is backup", func() bool { return log.last("Entering ", "BACKUP STATE") })
		})
	}
}

// vips are those of the instance, as an advert lists them.
func vips(family int) []netip.Addr {
	if family == 4 {
		return []netip.Addr{netip.MustParseAddr("10.9.0.100")}
	}
	return []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("fd09::100")}
}

// handmade is an advert of VRID 51 with priority 200.
func handmade(version int, from, to netip.Addr) []byte {
	family := familyOf(from)
	b := []byte{byte(version<<4 | 1), 51, 200, byte(len(vips(family))), 0, 10, 0, 0}
	if version == 2 {
		b[5] = 1
	}
	for _, v := range vips(family) {
		b = append(b, v.AsSlice()...)
	}
	var pseudo []byte
	if version == 2 {
		b = append(b, make([]byte, 8)...)
	} else {
		pseudo = append(pseudo, from.AsSlice()...)
		pseudo = append(pseudo, to.AsSlice()...)
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(b)))
		pseudo = binary.BigEndian.AppendUint32(pseudo, protocol)
	}
	binary.BigEndian.PutUint16(b[6:], checksum(append(pseudo, b...)))
	return b
}

// keepalived runs the other make on host 1 until the test ends.
func (w *world) keepalived(t *testing.T, version, family int, extra string) *logBook {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`global_defs {
 router_id other
 vrrp_version %d
 vrrp_garp_master_repeat 1
}
vrrp_instance other {
 state MASTER
 interface %s
 virtual_router_id 51
 priority 100
 advert_int %s
 %s
 virtual_ipaddress {
`, version, lan, map[int]string{2: "1", 3: "0.1"}[version], extra)
	for _, v := range vips(family) {
		config += "  " + v.String() + "\n"
	}
	config += " }\n}\n"
	file := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(file("conf"), []byte(config), 0o600))
	path, err := nettest.FindProgram("keepalived")
	must(t, err)
	cmd := w.hosts[1].Command(t.Context(), path, "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--no-syslog",
		"-f", file("conf"), "-p", file("pid"), "-r", file("vrrp.pid"), "-c", file("checkers.pid"), "-b", file("bfd.pid"))
	log := &logBook{begin: time.Now()}
	cmd.Stdout, cmd.Stderr = log, log
	// The log is complete when the process that writes it has ended, too.
	cmd.WaitDelay = 5 * time.Second
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return log
}

// logBook is what a program says.
type logBook struct {
	begin time.Time
	mu    sync.Mutex
	text  bytes.Buffer
}

// Write takes what the program says.
func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBook) has(words string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(words))
}

// last says whether what follows the last of the words begins with a text.
func (l *logBook) last(words, text string) bool {
	all := l.String()
	at := strings.LastIndex(all, words)
	return at >= 0 && strings.HasPrefix(all[at+len(words):], text)
}

// String is all that was said.
func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBook) after(d time.Duration) bool { return time.Since(l.begin) > d }
