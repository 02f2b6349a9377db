package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/node/links"
	"sluice/internal/node/process"
	"sluice/loader"
	"sluice/steering/health"
	"sluice/steering/nexthop"
)

// system is the machine this program runs on, in the network namespace of the
// thread that calls.
type system struct{ links.Netlink }

var _ machine = system{}

// Rights implements [host].
func (system) Rights() (process.Status, error) { return process.ReadStatus(0) }

// Features implements [host].
func (system) Features() []loader.Feature { return loader.Features() }

// OnBPFFS implements [host].
func (system) OnBPFFS(path string) (on, ours bool, err error) { return process.InspectBPFFS(path) }

// CPUs implements [host].
func (system) CPUs() int { return runtime.NumCPU() }

// SourcePorts implements [host].
func (system) SourcePorts() (int, error) {
	below, above, err := nexthop.PortSpans()
	return below.Size() + above.Size(), err
}

// ClockSynchronised implements [host].
func (system) ClockSynchronised() (bool, error) {
	var now unix.Timex // with no modes set this only reads
	state, err := unix.Adjtimex(&now)
	if err != nil {
		return false, fmt.Errorf("ask for the state of the clock: %v", err)
	}
	return state != unix.TIME_ERROR && now.Status&unix.STA_UNSYNC == 0, nil
}

// Sysctl implements [host].
func (system) Sysctl(parts ...string) (string, error) {
	path := filepath.Join(append([]string{"/proc/sys"}, parts...)...)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read sysctl: %v", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Connect implements [prober].
func (system) Connect(ctx context.Context, to netip.AddrPort) (time.Duration, error) {
	start := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // the address is said by whoever asks
		}
		return 0, err
	}
	took := time.Since(start)
	return took, conn.Close()
}

// GreetProxy implements [prober].
func (system) GreetProxy(ctx context.Context, to netip.AddrPort) (string, error) {
	o := health.Probe(ctx, health.Target{
		Name: to.String(), Backend: to, Dial: to, Proxy: true,
		Settings: health.Settings{Type: health.SSH, Timeout: connectTimeout},
	})
	return o.Identification, o.Err
}

const (
	rulesetTimeout = 5 * time.Second
	// maxRuleset bounds what is read of nft; a set of a million addresses
	// stays below.
	maxRuleset = 64 << 20
)

// Ruleset implements [host].
func (system) Ruleset(ctx context.Context) ([]byte, error) {
	program, found := findProgram("nft")
	if !found {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, rulesetTimeout)
	defer cancel()
	text, err := printed(bounded, program, "-j", "list", "ruleset")
	if err != nil {
		return nil, fmt.Errorf("list nftables rules: %v", err)
	}
	return text, nil
}

// printed is what a program prints about the rules of this network namespace.
func printed(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	out := &boundedBuffer{left: maxRuleset}
	said := &boundedBuffer{left: 4096}
	cmd.Stdout, cmd.Stderr = out, said
	// The kernel's rules are those of a namespace, and a child takes the
	// namespace of the thread that forks it: this one's.
	if err := cmd.Run(); err != nil {
		reason, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return nil, fmt.Errorf("%v: %s", err, reason)
	}
	return out.Bytes(), nil
}

// findProgram looks where administrators' programs are, too: they are not in
// everybody's PATH.
func findProgram(name string) (string, bool) {
	for _, name := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// boundedBuffer takes so many bytes and then fails the writer.
type boundedBuffer struct {
	bytes.Buffer
	left int
}

// Write implements [io.Writer].
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, io.ErrShortBuffer
	}
	b.left -= len(p)
	return b.Buffer.Write(p)
}
