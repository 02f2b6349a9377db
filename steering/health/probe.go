package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Probe checks a target once, whatever its state, and returns when the answer
// is known or ctx or the target's timeout ended. A target of type Off passes.
func Probe(ctx context.Context, t Target) Outcome {
	t.Settings = t.Settings.withDefaults()
	return probe(ctx, dial, t)
}

// dialFunc connects to a target.
type dialFunc func(context.Context, Target) (net.Conn, error)

func probe(ctx context.Context, dial dialFunc, t Target) Outcome {
	if t.Settings.Type == Off {
		return Outcome{}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.Settings.Timeout)
	defer cancel()
	conn, err := dial(ctx, t)
	if err != nil {
		return Outcome{Err: explainDial(err, t), Took: time.Since(start), Hung: timedOut(err)}
	}
	out := Outcome{RTT: time.Since(start)}
	if a, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
		out.Source = a.Addr().Unmap()
	}
	deadline, _ := ctx.Deadline()
	// The end of ctx must end the reading, too.
	_ = conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if t.Proxy {
		_, _ = conn.Write(proxyLocal) // what comes of it is read
	}
	if t.Settings.Type == TCP {
		out.Took = out.RTT
		out.Identification = leave(conn, nil)
		return out
	}
	r := bufio.NewReaderSize(conn, 512)
	identification, said, err := readIdentification(r)
	out.Took = time.Since(start)
	if err != nil {
		out.Err, out.Hung = explainRead(err, said, t), timedOut(err)
		if t.Proxy && !out.Hung {
			out.Err = fmt.Errorf("%w: %v", ErrNoProxy, out.Err)
		}
		conn.Close()
		return out
	}
	out.Identification = printable(identification)
	if t.Proxy {
		out.Err = goOn(conn, r)
		out.Took, out.Hung = time.Since(start), timedOut(out.Err)
		leave(conn, parting)
		return out
	}
	leave(conn, goodbye)
	return out
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// explainDial puts the failure to connect in an operator's words.
func explainDial(err error, t Target) error {
	switch {
	case timedOut(err):
		return fmt.Errorf("no answer to connecting within %v", t.Settings.Timeout)
	case errors.Is(err, unix.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, unix.ECONNRESET):
		return errors.New("reset the connection at once")
	case errors.Is(err, unix.EHOSTUNREACH):
		return errors.New("host unreachable")
	case errors.Is(err, unix.ENETUNREACH):
		return errors.New("network unreachable; no route leads there")
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("interface %q is gone; restart sluice to make it again", stackEnd)
	}
	return cause(err)
}

// explainRead puts the failure to read an identification in an operator's
// words, with what the server said instead.
func explainRead(err error, said string, t Target) error {
	var what string
	switch {
	case timedOut(err) && said == "":
		return fmt.Errorf("connected, but heard nothing within %v", t.Settings.Timeout)
	case timedOut(err):
		what = fmt.Sprintf("sent no SSH identification within %v", t.Settings.Timeout)
	case errors.Is(err, unix.ECONNRESET):
		what = "reset the connection before its SSH identification"
	default:
		what = cause(err).Error()
	}
	switch {
	case said == "":
		return errors.New(what)
	case strings.HasPrefix(said, "Not allowed at this time"):
		// OpenSSH 9.8: sshd.c says so to an address under penalty.
		return fmt.Errorf("refuses this address for now: %s; exempt it by PerSourcePenaltyExemptList in the backend's sshd_config", quote(said))
	case strings.HasPrefix(said, "Exceeded MaxStartups"):
		return fmt.Errorf("has no room for new connections: %s; raise MaxStartups in the backend's sshd_config", quote(said))
	}
	return fmt.Errorf("%s, but %s", what, quote(said))
}

// cause is the innermost error that has something to say: addresses are known
// to whoever reads the reason.
func cause(err error) error {
	var sys *os.SyscallError
	var op *net.OpError
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno) && errors.As(err, &sys):
		return fmt.Errorf("%s: %v", sys.Syscall, errno)
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// printable is identification as it may be shown. Bytes beyond ASCII, allowed
// in its comment by nobody but sent by some, are escaped.
func printable(s string) string {
	q := fmt.Sprintf("%+q", s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
