package node

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// A Task is something that runs as long as the node does.
type Task interface {
	fmt.Stringer
	// Run works until ctx is done, which is no error. It is called once.
	Run(ctx context.Context) error
	// Ready is closed once the task does what it is there for.
	Ready() <-chan struct{}
}

// tasks are running Tasks.
type tasks struct {
	cancel context.CancelFunc
	group  *errgroup.Group
	// failed delivers why a task ended by itself.
	failed chan error
}

// startTasks starts all and returns when all are ready, or with the error of
// the one that failed before that.
func startTasks(ctx context.Context, list []Task) (*tasks, error) {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	t := &tasks{cancel: cancel, group: group, failed: make(chan error, 1)}
	for _, task := range list {
		group.Go(func() error {
			err := task.Run(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = fmt.Errorf("it ended by itself")
			}
			return fmt.Errorf("%s: %v", task, err)
		})
	}
	go func() {
		<-ctx.Done()
		t.failed <- group.Wait()
	}()
	for _, task := range list {
		select {
		case <-task.Ready():
		case err := <-t.failed:
			cancel()
			if err == nil {
				err = ctx.Err()
			}
			return nil, err
		}
	}
	return t, nil
}

// stop ends all and waits for them.
func (t *tasks) stop() {
	t.cancel()
	_ = t.group.Wait()
}
