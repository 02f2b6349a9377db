package doctor

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/node/clusterkey"
	"sluice/internal/node/process"
	daemon "sluice/vip"
	"sluice/vip/ping"
)

const (
	// pingTimeout is how long each of two requests may take.
	pingTimeout = 500 * time.Millisecond
	// maxKeyFile is more than any key file has.
	maxKeyFile = 1024
)

// Ping implements [gateway].
func (system) Ping(ctx context.Context, link string, hosts []netip.Addr) (map[netip.Addr]pong, error) {
	item := ping.Item{
		Name: "doctor", Interface: link, Hosts: hosts, Interval: pingTimeout, Timeout: pingTimeout, Fall: 2, Rise: 1,
	}
	bounded, cancel := context.WithTimeout(ctx, 10*pingTimeout)
	defer cancel()
	told := make(chan struct{}, 1)
	m, err := ping.New([]ping.Item{item}, func(ping.Status) {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, fmt.Errorf("ping by %q: %v", link, err)
	}
	go func() {
		defer cancel()
		for !allKnown(m) {
			select {
			case <-told:
			case <-bounded.Done():
				return
			}
		}
	}()
	if err := m.Run(bounded); err != nil { // in the namespace of this thread
		return nil, fmt.Errorf("ping by %q: %v", link, err)
	}
	answers := map[netip.Addr]pong{}
	for _, h := range m.Snapshot()[0].Hosts {
		answers[h.Addr] = pong{h.Known && h.Up, h.RTT, h.Fault}
	}
	return answers, nil
}

func allKnown(m *ping.Monitor) bool {
	for _, h := range m.Snapshot()[0].Hosts {
		if !h.Known {
			return false
		}
	}
	return true
}

// AdvertKey implements [gateway].
func (system) AdvertKey(path string) (fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return 0, err
	}
	_, err = daemon.ParseAdvertKey(text)
	return info.Mode(), err
}

// ClusterKey implements [gateway].
func (system) ClusterKey(dir string) (fingerprint string, written time.Time, err error) {
	k, written, err := clusterkey.Load(dir)
	return k.Fingerprint(), written, err
}

// Urgency implements [gateway].
func (system) Urgency(pid int) (urgency, error) {
	s, err := process.ReadSchedule(pid)
	if err != nil {
		return urgency{}, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return urgency{}, fmt.Errorf("read how much memory process %d has locked: %v", pid, err)
	}
	u := urgency{Realtime: s.Realtime, Schedule: s.String()}
	for line := range strings.Lines(string(text)) {
		if amount, found := strings.CutPrefix(line, "VmLck:"); found {
			u.Locked = strings.TrimSpace(amount) != "0 kB"
		}
	}
	return u, nil
}
