package process

import (
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// nobody returns the ids of a user who exists everywhere and owns nothing.
func nobody(t *testing.T) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

// outputUnder starts a role of this binary under a confinement and returns what
// it prints.
func outputUnder(t *testing.T, c confinement, role ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	process, err := c.start("/proc/self/exe", append([]string{"sluice"}, role...), os.Environ(), []*os.File{nil, w, os.Stderr})
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		t.Fatalf("started process: %v, %v", state, err)
	}
	return string(text)
}

// statusUnder returns the rights a process has under a confinement, as it says
// itself, with its securebits.
func statusUnder(t *testing.T, c confinement) (Status, string) {
	t.Helper()
	text := outputUnder(t, c, "status")
	status, err := parseStatus(text)
	if err != nil {
		t.Fatal(err)
	}
	_, bits, _ := strings.Cut(text, "Securebits:\t")
	return status, strings.TrimSpace(bits)
}

// Exactly the capabilities asked for in all five sets after the exec, for a
// user of its own and for uid 0, and none where none is asked for.
func TestConfinementIsExact(t *testing.T) {
	nettest.Require(t, nettest.Root)
	uid, gid := nobody(t)
	for name, c := range map[string]confinement{
		"user":               {caps: NodeCaps, uid: uid, gid: gid},
		"root":               {caps: NodeCaps},
		"user, none":         {uid: uid, gid: gid},
		"root, none":         {},
		"user, a single one": {caps: capSet(unix.CAP_NET_RAW), uid: uid, gid: gid},
	} {
		t.Run(name, func(t *testing.T) {
			got, bits := statusUnder(t, c)
			want := Status{
				Parent: os.Getpid(), UID: c.uid, NoNewPrivs: true,
				Inheritable: c.caps, Permitted: c.caps, Effective: c.caps, Bounding: c.caps, Ambient: c.caps,
			}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if bits != "3" { // SECBIT_NOROOT, locked
				t.Errorf("securebits %s: uid 0 means something", bits)
			}
		})
	}
}

// What was dropped for the child was dropped on a thread that is gone: this
// process keeps its rights on every thread.
func TestConfinementLeavesTheParent(t *testing.T) {
	nettest.Require(t, nettest.Root)
	before, err := ReadStatus(0)
	if err != nil {
		t.Fatal(err)
	}
	if before.NoNewPrivs {
		t.Fatal("an earlier start has confined the first thread")
	}
	for range 8 { // goroutines land on any thread, now and then on the first
		statusUnder(t, confinement{})
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/status")
		if err != nil {
			continue // ended
		}
		after, err := parseStatus(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if after != before {
			t.Errorf("thread %s has no_new_privs %t and lacks %s of %s", thread.Name(),
				after.NoNewPrivs, before.Bounding&^after.Bounding, before.Bounding)
		}
	}
}

func TestConfinementStartReportsWhy(t *testing.T) {
	nettest.Require(t, nettest.Root)
	_, err := confinement{}.start("/nonexistent", []string{"x"}, nil, nil)
	if err == nil {
		t.Fatal("a program that is not there was started")
	}
}

func TestConfinementNeeds(t *testing.T) {
	nettest.Require(t, nettest.Root) // the needs of an ordinary user are others
	ids := capSet(unix.CAP_SETUID, unix.CAP_SETGID)
	for name, c := range map[string]struct {
		confinement confinement
		want        CapSet
	}{
		"root without dataplane": {confinement{}, capSet(unix.CAP_SETPCAP)},
		"root":                   {confinement{caps: NodeCaps}, NodeCaps | capSet(unix.CAP_SETPCAP)},
		"user":                   {confinement{caps: NodeCaps, uid: 5}, NodeCaps | capSet(unix.CAP_SETPCAP) | ids},
	} {
		if got := c.confinement.needs(); got != c.want {
			t.Errorf("%s: needs %s, want %s", name, got, c.want)
		}
	}
}
