package node

import (
	"strings"
	"syscall"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// Without services nothing is asked for: no capability, no bpffs, no program.
// The node still answers, and says what it would take to steer.
func TestNodeWithoutServices(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{Backends: 1})
	r.write(r.settings(""))
	s := r.start()
	status := r.status("node", func(s control.Status) bool { return s.PID != 0 })
	for _, p := range status.Processes {
		if p.Name == "node" && (len(p.Capabilities.Effective) != 0 || len(p.Capabilities.Bounding) != 0) {
			t.Errorf("the node has %+v", p.Capabilities)
		}
	}
	if r.attached() || len(status.Attachments) != 0 {
		t.Error("a program is attached")
	}
	if list, err := r.client.Backends(t.Context()); err != nil || len(list.Backends) != 0 {
		t.Errorf("backends = %+v, %v", list, err)
	}
	if _, err := r.client.Enable(t.Context(), control.Selection{All: true}); !control.IsCode(err, control.CodeUnavailable) || !strings.Contains(err.Error(), "no services") {
		t.Errorf("an order = %v", err)
	}
	if _, err := r.apply(r.settings(r.login(0)), false); err == nil || !strings.Contains(err.Error(), "restart \"sluice run\"") {
		t.Errorf("the first service = %v", err)
	}
	r.generation(1, false)
	s.signal(syscall.SIGINT)
	if code := s.ended(); code != 0 {
		t.Errorf("exit %d", code)
	}
}
