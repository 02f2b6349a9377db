package failover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// A gateway that steers nothing has no owner words in a dataplane; the next vip
// process goes on where one was killed all the same, and the other gateway does not
// notice.
func TestRestartWithoutServices(t *testing.T) {
	settings, _, _ := strings.Cut(edge, "services:")
	all := newGateways(t, nettest.ClusterOptions{}, settings)
	all.start()
	a, b := all.each[0], all.each[1]
	was := a.vipProcess()
	must(t, syscall.Kill(was, syscall.SIGKILL))
	all.eventually("the next one goes on", func() error {
		c, err := a.cluster()
		if err != nil {
			return err
		}
		if a.vipProcess() == was || c.State != control.VIPActive || c.Cause != "adopted" {
			return fmt.Errorf("it is %s because of %q", c.State, c.Cause)
		}
		return nil
	})
	if c, err := b.cluster(); err != nil || c.State != control.VIPBackup || c.Changes["active_silent"] != 0 {
		t.Errorf("the other one: %s, %v, %v", c.State, c.Changes, err)
	}
	if !a.has(all.VIP.V4) || b.has(all.VIP.V4) {
		t.Error("the VIP moved")
	}
}

// vipProcess is the id of a gateway's vip process, 0 for none.
func (g *gateway) vipProcess() int {
	client := control.NewClient(g.socket())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := client.Status(ctx)
	if err != nil {
		g.all.t.Error(errors.Join(errors.New("no status"), err))
	}
	for _, p := range s.Processes {
		if p.Name == "vip" {
			return p.PID
		}
	}
	return 0
}
