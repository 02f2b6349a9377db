package health

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLifeOfATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		at := number(1)
		name := at.String()
		b.set(at, oldServer)
		b.c.Set([]Target{target(1)})
		if s := statusOf(t, b.c, name); s.State != Unknown || !s.Checked.IsZero() {
			t.Errorf("before the first check: %+v", s)
		}
		b.run(t)
		defer b.stop()

		time.Sleep(startPace)
		synctest.Wait()
		s := statusOf(t, b.c, name)
		if s.State != Up || s.Reason != "passed the first check" || s.Last.Identification != "SSH-2.0-OpenSSH_9.2" || s.Paced {
			t.Errorf("after the first check: %+v", s)
		}
		time.Sleep(time.Minute)
		if n := len(b.times(at)); n < 30 || n > 31 {
			t.Errorf("%d checks in a minute, want one each 2 s", n)
		}

		b.set(at, swallows)
		began := time.Now()
		for statusOf(t, b.c, name).State == Up {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > 6*time.Second+10*time.Millisecond {
			t.Errorf("silence was noticed after %v, want within fall × interval", took)
		}
		s = statusOf(t, b.c, name)
		if want := "failed 3 checks in a row: no answer to connecting within 1s"; s.Reason != want || s.LastError != "no answer to connecting within 1s" || s.Streak != 0 {
			t.Errorf("when down: %+v, want reason %q", s, want)
		}

		b.set(at, oldServer)
		began = time.Now()
		for statusOf(t, b.c, name).State == Down {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > 4*time.Second+10*time.Millisecond {
			t.Errorf("its return was noticed after %v, want within rise × interval", took)
		}
		synctest.Wait()
		want := []string{name + ": unknown→up", name + ": up→down", name + ": down→up"}
		if got := b.states(); !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		last := b.told[2]
		if last.LastError == "" || last.Since.IsZero() || last.Reason != "passed 2 checks in a row" {
			t.Errorf("the last change = %+v", last)
		}
	})
}

func TestSetDiffs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		for n := range 4 {
			b.set(number(n), oldServer)
		}
		b.set(number(3), refuses)
		b.c.Set([]Target{target(0), target(1), target(2), target(3)})
		b.run(t)
		defer b.stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.told = nil
		before := statusOf(t, b.c, number(0).String())
		checks := len(b.times(number(0)))

		// 0 stays as it is, 1 gets other settings, 2 goes, 3 is not checked any
		// more, 4 is new and was known up.
		one, three, four := target(1), target(3), target(4)
		one.Settings.Interval = 500 * time.Millisecond
		three.Settings.Type = Off
		four.Assume = Up
		b.c.Set([]Target{target(0), one, three, four})
		synctest.Wait()
		if got := statusOf(t, b.c, number(0).String()); got.Since != before.Since || got.State != Up {
			t.Errorf("an unchanged target lost its history: %+v, was %+v", got, before)
		}
		if got := b.states(); !slices.Equal(got, []string{number(3).String() + ": down→up"}) {
			t.Errorf("told %v, want that what is not checked is up", got)
		}
		if s := statusOf(t, b.c, number(4).String()); s.State != Up || s.Reason != "as it was before" {
			t.Errorf("what was known up is %+v", s)
		}
		gone := len(b.times(number(2)))
		ones := len(b.times(number(1)))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(b.times(number(2))); n != gone {
			t.Errorf("%d checks of a target that is gone", n-gone)
		}
		if n := len(b.times(number(1))) - ones; n < 19 || n > 21 {
			t.Errorf("%d checks in 10 s each 500 ms", n)
		}
		if n := len(b.times(number(0))) - checks; n != 5 {
			t.Errorf("%d checks in 10 s of the one that did not change, want 5", n)
		}
		if s := statusOf(t, b.c, number(4).String()); s.State != Down || !strings.HasPrefix(s.Reason, "failed 3 checks") {
			t.Errorf("what was known up and never answered is %+v, want down after three checks", s)
		}

		// Checked again: it stays up until checks say otherwise.
		b.c.Set([]Target{target(3)})
		synctest.Wait()
		if s := statusOf(t, b.c, number(3).String()); s.State != Up {
			t.Errorf("just checked again it is %v, want up", s.State)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := statusOf(t, b.c, number(3).String()); s.State != Down {
			t.Errorf("checked again it is %v, want down", s.State)
		}
		if n := len(b.c.Snapshot()); n != 1 {
			t.Errorf("%d targets left, want 1", n)
		}
	})
}

// A reload sets what is there already. However often, it must not cut checks
// short.
func TestSetLeavesRunningChecksAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		b.set(number(1), keepsMum)
		b.c.Set([]Target{target(1)})
		b.run(t)
		defer b.stop()
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			b.c.Set([]Target{target(1)})
		}
		synctest.Wait()
		if s := statusOf(t, b.c, number(1).String()); s.State != Down {
			t.Errorf("state = %v after 10 s of silence, want down", s.State)
		}
	})
}

func TestChangedSettingsHoldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		slow, quick := target(1), target(1)
		slow.Settings.Interval, slow.Assume = time.Hour, Up
		quick.Settings = Settings{Interval: time.Second, Timeout: time.Second, Fall: 2}
		b.c.Set([]Target{slow})
		b.run(t)
		defer b.stop()
		time.Sleep(time.Minute)
		// One failure of two, which the first check of a new port does not add to.
		if s := statusOf(t, b.c, slow.Name); s.State != Up || s.Streak != 1 {
			t.Fatalf("status = %+v, want one failure", s)
		}
		b.set(number(1), refuses)
		other := quick
		other.Dial = netip.AddrPortFrom(number(1).Addr(), 2222)
		b.c.Set([]Target{other})
		checks := len(b.times(other.Dial))
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if n := len(b.times(other.Dial)) - checks; n == 0 {
			t.Error("no check within the new interval; the old one was waited for")
		}
		if s := statusOf(t, b.c, slow.Name); s.State != Up {
			t.Error("a failure of the old address counted for the new one")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := statusOf(t, b.c, slow.Name); s.State != Down {
			t.Errorf("state = %v after two failures of the new address, want down", s.State)
		}
	})
}

// Notify may use the checker, what it is told stays in order, and nothing is
// told of a target that went while its change was waiting.
func TestNotifyMayCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		var order []string
		unchecked := func(name string) Target { return Target{Name: name, Settings: Settings{Type: Off}} }
		b = newBench(Options{Notify: func(c Change) {
			order = append(order, c.Name)
			time.Sleep(time.Second) // it is slow; "second" comes up meanwhile
			if c.Name == "first" {
				b.c.Set([]Target{unchecked("first"), unchecked("third")})
			}
			b.c.Snapshot()
		}})
		b.set(number(1), oldServer)
		second := target(1)
		second.Name = "second"
		b.c.Set([]Target{unchecked("first"), second})
		b.run(t)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		b.stop()
		if !slices.Equal(order, []string{"first", "third"}) {
			t.Errorf("told of %v, want first and third", order)
		}
	})
}

// What is set before Run waits for it, and what is set after its end does not
// begin.
func TestSetAroundRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		b.set(number(1), oldServer)
		b.c.Set([]Target{target(1)})
		time.Sleep(time.Minute)
		if n := len(b.times(number(1))); n != 0 {
			t.Errorf("%d checks before Run", n)
		}
		b.run(t)
		time.Sleep(time.Second)
		b.stop()
		b.c.Set([]Target{target(1), target(2)})
		time.Sleep(time.Minute)
		if n := len(b.times(number(2))); n != 0 {
			t.Errorf("%d checks after the end of Run", n)
		}
	})
}
