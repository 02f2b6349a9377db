package process

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// vip waits until n vip processes became ready and returns the last.
func (r *running) vip(n int) int {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("vip process %d (%s)", n, r.said()), func() bool { return len(r.pids("vip-ready")) >= n })
	return r.pids("vip-ready")[n-1]
}

// words are those of the journal, in order.
func (r *running) words() []string {
	text, _ := os.ReadFile(filepath.Join(r.base, "data", "journal"))
	var words []string
	for line := range strings.Lines(string(text)) {
		word, _, _ := strings.Cut(line, " ")
		words = append(words, word)
	}
	return words
}

// wantWords compares the journal as a whole.
func (r *running) wantWords(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.words()); diff != "" {
		r.t.Errorf("journal (-want +got):\n%s\n%s", diff, r.said())
	}
}

// put writes a file of the data directory, which children read.
func put(t *testing.T, base, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(base, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "data", name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func kill(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

func TestVIPLife(t *testing.T) {
	uid, _ := nobody(t)
	base := newBase(t)
	r := parentBelow(t, base, "nobody", "dataplane", "failover")
	vip, node := r.vip(1), r.node(1)

	t.Run("it is confined", func(t *testing.T) {
		s, err := ReadStatus(vip)
		if err != nil {
			t.Fatal(err)
		}
		want := Status{Parent: r.Process.Pid, UID: uid, NoNewPrivs: true,
			Inheritable: VIPCaps, Permitted: VIPCaps, Effective: VIPCaps, Bounding: VIPCaps, Ambient: VIPCaps}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("rights (-want +got):\n%s", diff)
		}
		if want := capSet(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF); VIPCaps != want {
			t.Errorf("a vip process has %s, want %s", VIPCaps, want)
		}
	})
	t.Run("all of it is urgent", func(t *testing.T) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", vip))
		if err != nil || len(threads) < 2 {
			t.Fatalf("%d threads, %v", len(threads), err)
		}
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil {
				t.Fatal(err)
			}
			if s, err := ReadSchedule(tid); err != nil || !s.Realtime || s.Priority != urgentPriority {
				t.Errorf("thread %d runs with %v, %v", tid, s, err)
			}
		}
		if s, err := ReadSchedule(node); err != nil || s != ownSchedule(t) {
			t.Errorf("the node runs with %v, %v", s, err)
		}
	})
	t.Run("the node finds it", func(t *testing.T) {
		c, found, err := FindCompanion(bootBelow(base))
		if err != nil || !found || c.PID != vip || c.Restarts != 0 || c.Rights.Effective != VIPCaps || !c.Schedule.Realtime {
			t.Errorf("found %+v, %t, %v", c, found, err)
		}
	})
	t.Run("it comes again at once, and the node does not mind", func(t *testing.T) {
		kill(t, vip, unix.SIGKILL)
		if vip = r.vip(2); !lives(vip) || !lives(node) {
			t.Error("one of the two is gone")
		}
		if !strings.Contains(r.said(), `msg="vip process ended: starting it again"`) || !strings.Contains(r.said(), "after=0s") {
			t.Errorf("it was not started at once: %s", r.said())
		}
		if c, found, err := FindCompanion(bootBelow(base)); err != nil || !found || c.PID != vip || c.Restarts != 1 {
			t.Errorf("found %+v, %t, %v", c, found, err)
		}
	})
	t.Run("it does not mind the node", func(t *testing.T) {
		kill(t, node, unix.SIGKILL)
		if node = r.node(2); !lives(node) || !lives(vip) {
			t.Error("one of the two is gone")
		}
	})
	t.Run("SIGTERM to it is no end", func(t *testing.T) {
		kill(t, vip, unix.SIGTERM)
		vip = r.vip(3)
	})
	r.signal(syscall.SIGTERM)
	if code := r.ended(); code != 0 {
		t.Errorf("exit %d: %s", code, r.said())
	}
	r.wantWords("ready", "vip-ready", "vip-ready", "ready", "vip-handover", "vip-ready", "vip-resign", "leave", "detach")
}

// Losing the parent costs no VIP: both children live on, and the next parent
// replaces the vip process only when the new node is ready.
func TestVIPOutlivesItsParent(t *testing.T) {
	base := newBase(t)
	first := parentBelow(t, base, "nobody", "dataplane", "failover")
	orphan := first.vip(1)
	first.signal(syscall.SIGKILL)
	<-first.exited
	if !lives(orphan) || !lives(first.node(1)) {
		t.Fatal("a child died with its parent")
	}
	second := parentBelow(t, base, "nobody", "dataplane", "failover")
	if vip := second.vip(2); vip == orphan || !lives(vip) || lives(orphan) {
		t.Errorf("vip process %d after %d", vip, orphan)
	}
	second.wantWords("ready", "vip-ready", "end", "ready", "vip-handover", "vip-ready")
}

// A parent without virtual clusters has no use for one, whose VIPs are given up.
func TestVIPOfAParentWithoutFailover(t *testing.T) {
	base := newBase(t)
	first := parentBelow(t, base, "nobody", "dataplane", "failover")
	orphan := first.vip(1)
	first.signal(syscall.SIGKILL)
	<-first.exited
	second := parentBelow(t, base, "nobody", "dataplane")
	eventually(t, "the end of the orphan", func() bool { return !lives(orphan) })
	second.wantWords("ready", "vip-ready", "end", "ready", "vip-resign")
}

// A real stop gives VIPs up, whoever's child has them.
func TestStopWhileAnOldVIPIsLeft(t *testing.T) {
	base := newBase(t)
	first := parentBelow(t, base, "nobody", "dataplane", "failover")
	orphan := first.vip(1)
	first.signal(syscall.SIGKILL)
	<-first.exited
	put(t, base, "slow", "")
	second := parentBelow(t, base, "nobody", "dataplane", "failover")
	eventually(t, "a node that starts", func() bool { return len(second.pids("slow")) == 1 })
	if !lives(orphan) {
		t.Error("the vip process was ended before another could follow it")
	}
	second.signal(syscall.SIGTERM)
	if code := second.ended(); code != 0 || lives(orphan) {
		t.Errorf("exit %d, the orphan lives: %t", code, lives(orphan))
	}
	second.wantWords("ready", "vip-ready", "end", "slow", "vip-resign", "detach")
}

// One that is too young to be found is replaced with the program all the same.
func TestYoungVIPIsReplacedWithTheProgram(t *testing.T) {
	base := newBase(t)
	put(t, base, "vip-young", "")
	r := parentBelow(t, base, "nobody", "dataplane", "failover")
	eventually(t, "the young one", func() bool { return len(r.pids("vip-young")) == 1 })
	young := r.pids("vip-young")[0]
	if err := os.Remove(filepath.Join(base, "data", "vip-young")); err != nil {
		t.Fatal(err)
	}
	r.signal(syscall.SIGUSR2)
	r.vip(1)
	if lives(young) {
		t.Error("two vip processes run")
	}
}

func TestVIPIsReplacedWithTheProgram(t *testing.T) {
	base := newBase(t)
	r := parentBelow(t, base, "nobody", "dataplane", "failover")
	old := r.vip(1)
	r.signal(syscall.SIGUSR2)
	if vip := r.vip(2); vip == old || lives(old) {
		t.Errorf("vip process %d after %d", vip, old)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", old)); err == nil {
		t.Error("the old one was not waited for")
	}
	r.signal(syscall.SIGINT)
	if code := r.ended(); code != 0 {
		t.Errorf("exit %d: %s", code, r.said())
	}
	r.wantWords("ready", "vip-ready", "end", "ready", "vip-handover", "vip-ready", "vip-resign", "leave", "detach")
}

// What the node says of the settings decides, while it runs and over what the
// parent read in the file.
func TestFailoverComesAndGoes(t *testing.T) {
	base := newBase(t)
	put(t, base, "failover", "off")
	r := parentBelow(t, base, "nobody", "dataplane", "failover")
	node := r.node(1)
	reload := func(n int, text string) {
		put(t, base, "failover", text)
		r.signal(syscall.SIGHUP)
		eventually(t, "reload", func() bool { return len(r.pids("reload")) == n })
	}
	reload(1, "on")
	first := r.vip(1)
	reload(2, "off")
	eventually(t, "the end of the vip process", func() bool { return !lives(first) })
	reload(3, "on")
	second := r.vip(2)
	reload(4, "on") // again, which changes nothing
	kill(t, node, unix.SIGKILL)
	r.node(2)
	if !lives(second) {
		t.Error("a node that says what it said before ended the vip process")
	}
	r.wantWords("ready", "reload", "vip-ready", "reload", "vip-resign", "reload", "vip-ready", "reload", "ready")
}

func TestFailoverWithoutADataplane(t *testing.T) {
	base := newBase(t)
	r := parentBelow(t, base, "nobody", "failover")
	if code := r.ended(); code != 1 || !strings.Contains(r.said(), "virtual clusters without a dataplane") {
		t.Errorf("exit %d: %s", code, r.said())
	}
	put(t, base, "failover", "on")
	r = parentBelow(t, base, "nobody")
	r.node(1)
	eventually(t, "refusal", func() bool { return strings.Contains(r.said(), `restart \"sluice run\"`) })
	r.signal(syscall.SIGTERM)
	r.ended()
	r.wantWords("ready", "leave")
}

// A vip process that fails is tried again, each time later, says why, and costs
// the node nothing.
func TestVIPCrashLoop(t *testing.T) {
	base := newBase(t)
	put(t, base, "vip-fail", "open heartbeat: interface \"hb0\" is missing")
	r := parentBelow(t, base, "nobody", "dataplane", "failover")
	node := r.node(1)
	eventually(t, "four failures", func() bool { return len(r.pids("vip-failed")) >= 4 })
	for _, want := range []string{`interface \"hb0\" is missing`, "after=0s", "after=100ms", "after=200ms"} {
		if !strings.Contains(r.said(), want) {
			t.Errorf("%s is not said: %s", want, r.said())
		}
	}
	if err := os.Remove(filepath.Join(base, "data", "vip-fail")); err != nil {
		t.Fatal(err)
	}
	r.vip(1)
	if !lives(node) || len(r.pids("ready")) != 1 {
		t.Error("the node was started again")
	}
}

// A pause between two starts is kept, also when a node becomes ready meanwhile.
func TestNoVIPBeforeItsTime(t *testing.T) {
	boot := bootBelow(t.TempDir())
	p := newParent(Options{Boot: boot, Dataplane: true, Failover: true, Log: slog.New(slog.DiscardHandler)}, "sluice")
	p.everReady = true
	p.vip.confinement = confinement{uid: os.Geteuid(), gid: os.Getegid()}
	p.vip.restart = make(chan time.Time)
	p.settleVIP()
	if c := p.vip.child; c != nil {
		t.Error("it was started before its time")
		p.await(c, stopPatience)
	}
}

// One that does not react, stopped or deaf, is ended in the end.
func TestStuckVIP(t *testing.T) {
	for name, stick := range map[string]func(t *testing.T, base string, pid int){
		"stopped": func(t *testing.T, _ string, pid int) { kill(t, pid, unix.SIGSTOP) },
		"deaf":    func(t *testing.T, base string, _ int) { put(t, base, "vip-stubborn", "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it is mostly patience
			base := newBase(t)
			r := parentBelow(t, base, "nobody", "dataplane", "failover")
			stuck := r.vip(1)
			stick(t, base, stuck)
			r.signal(syscall.SIGUSR2)
			next := r.vip(2)
			if lives(stuck) {
				t.Error("the stuck one lives")
			}
			stick(t, base, next)
			put(t, base, "failover", "off")
			r.signal(syscall.SIGHUP)
			eventually(t, "the end of the next one", func() bool { return !lives(next) })
			put(t, base, "failover", "on")
			r.signal(syscall.SIGHUP)
			stick(t, base, r.vip(3))
			r.signal(syscall.SIGTERM)
			if code := r.ended(); code != 0 {
				t.Errorf("exit %d: %s", code, r.said())
			}
			if words := r.words(); slices.Contains(words, "vip-resign") || words[len(words)-1] != "detach" {
				t.Errorf("journal: %v", words)
			}
		})
	}
}

// While the parent is stopped both children live on; it takes in later what
// happened.
func TestStoppedParent(t *testing.T) {
	base := newBase(t)
	r := parentBelow(t, base, "nobody", "dataplane", "failover")
	vip, node := r.vip(1), r.node(1)
	r.signal(syscall.SIGSTOP)
	kill(t, vip, unix.SIGKILL)
	eventually(t, "the end of the vip process", func() bool { return !lives(vip) })
	if !lives(node) || len(r.pids("vip-ready")) != 1 {
		t.Error("something happened while the parent was stopped")
	}
	r.signal(syscall.SIGCONT)
	r.vip(2)
	r.wantWords("ready", "vip-ready", "vip-ready")
}

// Whoever holds the place of the vip process and is none is named, and never
// signalled.
func TestStrangerInTheVIPsPlace(t *testing.T) {
	base := newBase(t)
	boot := bootBelow(base).VIP()
	if err := os.MkdirAll(boot.State, 0o755); err != nil {
		t.Fatal(err)
	}
	stranger := startRole(t, "lock", filepath.Join(boot.State, vipLock))
	r := parentBelow(t, base, "root", "dataplane", "failover")
	want := fmt.Sprintf("process %d", stranger.Process.Pid)
	eventually(t, "refusal", func() bool {
		return strings.Contains(r.said(), "is not the vip process of") && strings.Contains(r.said(), want)
	})
	stranger.end() // by itself
	r.vip(1)
}
