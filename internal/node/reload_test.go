package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// reloaded sends SIGHUP and returns how it went.
func (r *rig) reloaded(s *sluice) control.Reload {
	r.t.Helper()
	before := r.status("status", func(control.Status) bool { return true }).Settings.LastReload
	s.signal(syscall.SIGHUP)
	after := r.status("reload", func(now control.Status) bool {
		last := now.Settings.LastReload
		return last != nil && (before == nil || last.At.After(before.At))
	})
	return *after.Settings.LastReload
}

// generation fails the test unless this one runs.
func (r *rig) generation(want uint64, behind bool) {
	r.t.Helper()
	s, err := r.client.Settings(r.t.Context())
	if err != nil || s.Generation != want || s.FileIsBehind != behind {
		r.t.Errorf("generation %d, file behind %t, %v; want %d, %t", s.Generation, s.FileIsBehind, err, want, behind)
	}
}

// apply is `settings apply` of a text.
func (r *rig) apply(text string, force bool) (control.ApplyResult, error) {
	return r.client.Apply(r.t.Context(), control.SettingsFile{File: "x.yaml", Text: text}, force)
}

// The rule of file and store through a node's life: only a changed file is the
// truth, a bad one changes nothing, two changes at once are refused.
func TestSettingsLife(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{})
	r.write(r.settings(r.login(0)))
	s := r.start()
	r.up(1)
	k := r.talk()

	t.Run("unchanged file", func(t *testing.T) {
		if last := r.reloaded(s); !last.OK || last.Changes != 0 {
			t.Errorf("reload %+v", last)
		}
		r.generation(1, false)
	})
	t.Run("changed file", func(t *testing.T) {
		r.write(r.settings(r.login(0, 1)))
		if last := r.reloaded(s); !last.OK || last.Changes == 0 {
			t.Errorf("reload %+v", last)
		}
		r.generation(2, false)
		r.up(2)
	})
	t.Run("bad file", func(t *testing.T) {
		r.write(r.settings(r.login(0, 1, 2)) + "  - {listen: 7}\nguard: {}\n")
		last := r.reloaded(s)
		if last.OK || !strings.Contains(last.Error, "sluice.yaml:") || strings.Count(last.Error, "\n") < 1 {
			t.Errorf("reload %+v", last)
		}
		r.generation(2, false)
		r.up(2)
		r.status("alarm", func(s control.Status) bool { return len(s.Alarms) == 1 && s.Alarms[0].Subject == "settings file" })
	})
	t.Run("a comment", func(t *testing.T) {
		r.write("# the same\n" + r.settings(r.login(0, 1)))
		if last := r.reloaded(s); !last.OK || last.Changes != 0 {
			t.Errorf("reload %+v", last)
		}
		r.generation(2, false)
		r.status("no alarm", func(s control.Status) bool { return len(s.Alarms) == 0 })
	})
	t.Run("by the API", func(t *testing.T) { r.checkAPI(t) })
	t.Run("two changes", func(t *testing.T) { r.checkConflict(t, s) })
	t.Run("what the dataplane refuses", func(t *testing.T) { r.checkRefusal(t) })
	k.goesOn()
	t.Run("restart", func(t *testing.T) {
		before := r.status("status", func(control.Status) bool { return true })
		s.signal(syscall.SIGKILL)
		<-s.exited
		s = r.start()
		after := r.status("the next node", func(s control.Status) bool { return s.PID != before.PID })
		if after.Settings.Generation != before.Settings.Generation || after.Settings.FileIsBehind != before.Settings.FileIsBehind {
			t.Errorf("settings %+v, before %+v", after.Settings, before.Settings)
		}
	})
	k.goesOn()
}

func (r *rig) checkAPI(t *testing.T) {
	text := r.login(0, 1, 2) // no node section: it is nobody's business
	diff, err := r.client.Diff(t.Context(), control.SettingsFile{File: "x.yaml", Text: text})
	if err != nil || len(diff.Changes) == 0 {
		t.Fatalf("diff = %+v, %v", diff, err)
	}
	for _, c := range diff.Changes {
		if strings.HasPrefix(c.Path, "node") {
			t.Errorf("a change of this machine: %+v", c)
		}
	}
	r.generation(2, false)
	if a, err := r.apply(text, false); err != nil || !a.Changed || a.Generation != 3 {
		t.Errorf("apply = %+v, %v", a, err)
	}
	if a, err := r.apply("# again\n"+text, false); err != nil || a.Changed || a.Generation != 3 {
		t.Errorf("apply again = %+v, %v", a, err)
	}
	r.generation(3, true)
	r.up(3)
	// The file did not change, but to apply it would take back what came since.
	file, err := os.ReadFile(r.file())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.apply(string(file), false); !control.IsCode(err, control.CodeConflict) {
		t.Errorf("apply of the file that is behind = %v", err)
	}
	if _, err := r.apply("services: [{listen: x}]\n", false); !control.IsCode(err, control.CodeInvalidSettings) {
		t.Errorf("apply of a bad text = %v", err)
	}
	if s, err := r.client.Settings(t.Context()); err != nil || s.Text != text {
		t.Errorf("settings are shown as %q, %v", s.Text, err)
	}
}

func (r *rig) checkConflict(t *testing.T, s *sluice) {
	changed := r.settings(r.login(1))
	r.write(changed)
	last := r.reloaded(s)
	if last.OK || !strings.Contains(last.Error, "generation 3 came another way") {
		t.Errorf("reload %+v", last)
	}
	_, err := r.apply(changed, false)
	var refusal *control.Error
	if !errors.As(err, &refusal) || refusal.Code != control.CodeConflict {
		t.Fatalf("apply = %v", err)
	}
	all := strings.Join(refusal.Details, "\n")
	if !strings.Contains(all, "since then: + services[login].backends[b3]") || !strings.Contains(all, "in the file: - services[login].backends[b1]") {
		t.Errorf("the two changes are shown as\n%s", all)
	}
	r.generation(3, true)
	if a, err := r.apply(changed, true); err != nil || a.Generation != 4 {
		t.Errorf("apply with force = %+v, %v", a, err)
	}
	r.generation(4, false)
}

// An error of the dataplane leaves everything as it was.
func (r *rig) checkRefusal(t *testing.T) {
	before, err := r.client.Backends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"missing interface": {r.settings("dataplane: {interfaces: [ext0, nope0]}\n" + r.login(1, 2)), `"nope0"`},
		"own address":       {r.settings(fmt.Sprintf("services: [{listen: %q, backends: [%q]}]\n", r.vip(), r.InsideAddr.V4)), "address of this node"},
	} {
		_, err := r.apply(c.text, false)
		if !control.IsCode(err, control.CodeInvalidSettings) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: apply = %v", name, err)
		}
	}
	r.generation(4, false)
	after, err := r.client.Backends(t.Context())
	if err != nil || len(after.Backends) != len(before.Backends) {
		t.Errorf("backends %+v, %v; before %+v", after, err, before)
	}
}

// What the programs have as constants is changed by opening the dataplane anew,
// under living flows; what cannot be changed waits and says so.
func TestDataplaneSettings(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{})
	r.write(r.settings(r.login(0, 1, 2)))
	s := r.start()
	r.up(3)
	k := r.talk()

	r.write(r.settings("dataplane: {lifetimes: {closed: 5s}, interfaces: [int0, ext0], max_flows: 1024}\n" + r.login(0, 1, 2)))
	if last := r.reloaded(s); !last.OK {
		t.Fatalf("reload %+v", last)
	}
	status := r.up(3)
	if len(status.Attachments) != 2 || status.Attachments[0].Interface != "int0" {
		t.Errorf("attachments %+v", status.Attachments)
	}
	if status.Totals.FlowsMax != 262144 {
		t.Errorf("room for %d flows without a restart", status.Totals.FlowsMax)
	}
	k.goesOn()

	// A crash in between must not meet the value that waits.
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := r.status("the next node", func(now control.Status) bool { return now.PID != status.PID })
	if after.Totals.FlowsMax != 262144 {
		t.Errorf("room for %d flows", after.Totals.FlowsMax)
	}
	k.goesOn()

	// A stop and a start take it over.
	s.signal(syscall.SIGTERM)
	if code := s.ended(); code != 0 {
		t.Errorf("exit %d", code)
	}
	r.start()
	if status := r.up(3); status.Totals.FlowsMax != 1024 {
		t.Errorf("room for %d flows after a restart", status.Totals.FlowsMax)
	}
}

// Whoever starts sluice with settings that cannot work is told so in one line,
// and finds the machine as it was.
func TestStartIsRefused(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{})
	for name, c := range map[string]struct{ text, want string }{
		"faults":            {r.settings("services: [{listen: 7}]\n"), "sluice.yaml:"},
		"missing interface": {r.settings("dataplane: {interfaces: [nope0]}\n" + r.login(0)), `no interface "nope0"`},
		"own address":       {r.settings(fmt.Sprintf("services: [{listen: %q, backends: [%q]}]\n", r.vip(), r.InsideAddr.V4)), "address of this node"},
		"metrics taken":     {strings.Replace(r.settings(r.login(0)), "127.0.0.1:9422", "192.0.2.77:9422", 1), "node.metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			r.write(c.text)
			s := r.start()
			if code := s.ended(); code != 1 {
				t.Errorf("exit %d", code)
			}
			lines := strings.Split(strings.TrimSpace(s.said()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, c.want) {
				t.Errorf("last line %q, want %q in it", last, c.want)
			}
			if r.attached() {
				t.Error("XDP is on the interface")
			}
			if _, err := os.Stat(r.pins()); err == nil && len(r.pinned()) != 0 {
				t.Errorf("pins %v", r.pinned())
			}
		})
	}
}

// A node that crashes with a broken settings file goes on by what ran last.
func TestCrashWithABrokenFile(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{})
	r.write(r.settings(r.login(0, 1)))
	r.start()
	status := r.up(2)
	k := r.talk()
	r.write("services: [")
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := r.status("the next node", func(now control.Status) bool { return now.PID != status.PID })
	if after.Settings.Generation != 1 || len(after.Alarms) == 0 || after.Alarms[0].Subject != "settings file" {
		t.Errorf("settings %+v, alarms %+v", after.Settings, after.Alarms)
	}
	k.goesOn()
	if who := r.banners(10); len(who) == 0 {
		t.Error("nothing is steered")
	}
}

// Damage of what ran last is an alarm, and the generation before runs.
func TestStartWithADamagedStore(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{})
	r.write(r.settings(r.login(0)))
	s := r.start()
	r.up(1)
	if a, err := r.apply(r.login(0, 1, 2), false); err != nil || a.Generation != 2 {
		t.Fatalf("apply = %+v, %v", a, err)
	}
	s.signal(syscall.SIGTERM)
	s.ended()
	if err := os.Truncate(filepath.Join(r.base, "data", "settings", "generation-2"), 40); err != nil {
		t.Fatal(err)
	}
	r.start()
	status := r.up(1)
	if status.Settings.Generation != 1 || len(status.Alarms) != 1 || status.Alarms[0].Severity != "critical" {
		t.Errorf("settings %+v, alarms %+v", status.Settings, status.Alarms)
	}
}

// The parent is gone: the node goes on and says so.
func TestOrphanSaysSo(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{})
	r.write(r.settings(r.login(0)))
	s := r.start()
	r.up(1)
	s.signal(syscall.SIGKILL)
	<-s.exited
	status := r.status("orphan", func(s control.Status) bool { return len(s.Processes) == 1 })
	if len(status.Alarms) != 1 || status.Alarms[0].Subject != "parent process" {
		t.Errorf("alarms %+v", status.Alarms)
	}
	if time.Since(status.Alarms[0].Since) > time.Minute {
		t.Errorf("since %v", status.Alarms[0].Since)
	}
}
