package nettest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// here is the network namespace of the calling goroutine's thread.
func here(t *testing.T) nsID {
	t.Helper()
	id, err := nsIDOf("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestDo(t *testing.T) {
	home := here(t)
	n := ForTest(t)
	m := ForTest(t)
	want := errors.New("from inside")
	err := n.Do(func() error {
		if got := here(t); got != n.id {
			t.Errorf("inside is %v, want %v", got, n.id)
		}
		links, err := net.Interfaces()
		if err != nil || len(links) != 1 || links[0].Name != "lo" || links[0].Flags&net.FlagUp == 0 {
			t.Errorf("inside are %v (%v), want lo alone and up", links, err)
		}
		if err := m.Do(func() error {
			if got := here(t); got != m.id {
				t.Errorf("inside the inner is %v, want %v", got, m.id)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if got := here(t); got != n.id {
			t.Errorf("after the inner is %v, want %v", got, n.id)
		}
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	if got := here(t); got != home {
		t.Errorf("after Do is %v, want %v", got, home)
	}
}

// No thread that was inside may run other goroutines before it is home again.
func TestDoLeavesNoThreadBehind(t *testing.T) {
	home := here(t)
	n := ForTest(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if err := n.Do(func() error { runtime.Gosched(); return nil }); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			for range 200 {
				if got := here(t); got != home {
					t.Errorf("a goroutine that entered nothing is in %v", got)
				}
				runtime.Gosched()
			}
		})
	}
	group.Wait()
}

func TestDoEndsTheCallersGoroutine(t *testing.T) {
	n := ForTest(t)
	ended := make(chan bool)
	go func() {
		returned := false
		defer func() { ended <- !returned }()
		_ = n.Do(func() error { runtime.Goexit(); return nil })
		returned = true
	}()
	if !<-ended {
		t.Error("Do returned although its function ended the goroutine")
	}
}

func TestThreadThatCannotReturnDies(t *testing.T) {
	tid := make(chan int)
	var stray func()
	stray = func() {
		home, err := lockThread()
		if err != nil {
			t.Error(err)
		}
		id := unix.Gettid()
		if id == os.Getpid() {
			// The main thread is parked, not killed. While this one is held the
			// next goroutine gets another.
			done := make(chan struct{})
			go func() { defer close(done); stray() }()
			<-done
			home.release()
			return
		}
		home.file.Close() // so that there is no way back
		home.release()
		tid <- id
	}
	go stray()
	path := fmt.Sprintf("/proc/self/task/%d", <-tid)
	eventually(t, path+" ends", func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestNamed(t *testing.T) {
	Require(t, Root, Namespaces)
	name := fmt.Sprintf("nettest-%d", os.Getpid())
	n, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if n.Name() != name || n.Path() != "/run/netns/"+name {
		t.Errorf("it is %q at %q", n.Name(), n.Path())
	}
	if names, err := Names("nettest-"); err != nil || !slices.Contains(names, name) {
		t.Errorf("names are %q (%v), without %q", names, err, name)
	}
	if id, err := nsIDOf(n.Path()); err != nil || id != n.id {
		t.Errorf("the name leads to %v (%v), want %v", id, err, n.id)
	}
	_, err = New(name)
	wantError(t, err, name, "taken", "ip netns del")
	if _, err := os.Stat(n.Path()); err != nil {
		t.Fatalf("the failed attempt took the name away: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(n.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close the name is still there (%v)", err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	wantError(t, n.Do(func() error { return nil }), name, "closed")
}

func TestNamedWorksWithIproute(t *testing.T) {
	Require(t, Root, Namespaces, Program("ip"))
	name := fmt.Sprintf("nettest-ip-%d", os.Getpid())
	n, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Bridge("sight"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ip", "netns", "exec", name, "ip", "-brief", "link", "show", "sight").CombinedOutput()
	if err != nil {
		t.Errorf("ip netns exec: %v: %s", err, out)
	}
	// One of iproute2's own must not bury ours.
	other := name + "-other"
	if out, err := exec.Command("ip", "netns", "add", other).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add: %v: %s", err, out)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(registered(other)); err != nil {
		t.Errorf("Close took iproute2's namespace away: %v", err)
	}
	if err := Remove(other); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesNames(t *testing.T) {
	Require(t, Root, Namespaces)
	for _, name := range []string{"a/b", "../up", ".", ".hidden"} {
		n, err := New(name)
		if err == nil {
			n.Close()
		}
		wantError(t, err, fmt.Sprintf("%q", name), "plain file name")
	}
}

func TestAnonymousHasNoPath(t *testing.T) {
	n := ForTest(t)
	if n.Path() != "" || n.Name() == "" {
		t.Errorf("it is %q at %q", n.Name(), n.Path())
	}
}

func TestRemoveAfterACrash(t *testing.T) {
	Require(t, Root, Namespaces, Program("sleep"))
	name := fmt.Sprintf("nettest-crash-%d", os.Getpid())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), crashEnv+"="+name)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.Sys().(interface{ Signaled() bool }).Signaled() == false {
		t.Fatalf("the process did not crash as it should: %v: %s", err, out)
	}
	id, err := nsIDOf(registered(name))
	if err != nil {
		t.Fatal(err)
	}
	if left := pidsIn(t, id); len(left) != 1 {
		t.Errorf("processes %v were left behind, want one", left)
	}
	if err := Remove(name); err != nil {
		t.Error(err)
	}
	if left := pidsIn(t, id); len(left) != 0 {
		t.Errorf("processes %v are still there", left)
	}
	if _, err := os.Lstat(registered(name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the name is still there (%v)", err)
	}
	if err := Remove(name); err != nil {
		t.Errorf("second Remove: %v", err)
	}
}

// A crash between making the file and mounting on it leaves a plain file.
func TestRemoveOfAPlainFile(t *testing.T) {
	Require(t, Root, Namespaces)
	name := fmt.Sprintf("nettest-plain-%d", os.Getpid())
	if err := withRegistry(func() error { return os.WriteFile(registered(name), nil, 0o444) }); err != nil {
		t.Fatal(err)
	}
	if err := Remove(name); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(registered(name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there (%v)", err)
	}
}
