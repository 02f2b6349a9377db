package node

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

// step is a Task that does what a test wants.
type step struct {
	gate
	name string
	run  func(ctx context.Context, ready func()) error
}

func (s *step) String() string { return s.name }

func (s *step) Run(ctx context.Context) error { return s.run(ctx, s.open) }

func newStep(name string, run func(ctx context.Context, ready func()) error) *step {
	return &step{newGate(), name, run}
}

// untilDone is ready at once and works until it is told to end.
func untilDone(running *atomic.Int32) func(context.Context, func()) error {
	return func(ctx context.Context, ready func()) error {
		running.Add(1)
		defer running.Add(-1)
		ready()
		<-ctx.Done()
		return ctx.Err()
	}
}

func TestTasksRunUntilStopped(t *testing.T) {
	var running atomic.Int32
	group, err := startTasks(t.Context(), []Task{newStep("a", untilDone(&running)), newStep("b", untilDone(&running))})
	if err != nil {
		t.Fatal(err)
	}
	if running.Load() != 2 {
		t.Errorf("%d tasks run", running.Load())
	}
	group.stop()
	if running.Load() != 0 {
		t.Errorf("%d tasks run after the stop", running.Load())
	}
	if err := <-group.failed; err != nil {
		t.Errorf("a stop is the error %v", err)
	}
}

// One that fails before all are ready ends the others and is named.
func TestTasksThatCannotStart(t *testing.T) {
	var running atomic.Int32
	_, err := startTasks(t.Context(), []Task{
		newStep("a", untilDone(&running)),
		newStep("metrics", func(context.Context, func()) error { return errors.New("port is taken") }),
		newStep("never ready", func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }),
	})
	if err == nil || err.Error() != "metrics: port is taken" {
		t.Errorf("startTasks = %v", err)
	}
	if running.Load() != 0 {
		t.Error("another task runs on")
	}
}

// One that ends later ends all, and says which it was.
func TestTaskThatEnds(t *testing.T) {
	for name, c := range map[string]struct {
		result error
		want   string
	}{
		"with an error": {errors.New("socket is gone"), "control socket: socket is gone"},
		"by itself":     {nil, "control socket: it ended by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			var running atomic.Int32
			end := make(chan struct{})
			group, err := startTasks(t.Context(), []Task{
				newStep("a", untilDone(&running)),
				newStep("control socket", func(_ context.Context, ready func()) error { ready(); <-end; return c.result }),
			})
			if err != nil {
				t.Fatal(err)
			}
			close(end)
			if err := <-group.failed; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("failed with %v", err)
			}
			group.stop()
		})
	}
}

// A context that ends during the start is an error: nothing was started.
func TestTasksInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := startTasks(ctx, []Task{newStep("slow", func(ctx context.Context, _ func()) error { cancel(); <-ctx.Done(); return nil })})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("startTasks = %v", err)
	}
}
