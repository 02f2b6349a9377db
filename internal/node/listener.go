package node

import (
	"context"
	"os"
	"path/filepath"

	"sluice/internal/node/handover"
)

// listenersSocket is where another process gives the node its listening socket
// for a service in mode sshd, beside the control socket.
const listenersSocket = "listeners.sock"

// ListenersSocket returns the path for [handover.Give] where the control socket
// is at control.
func ListenersSocket(control string) string {
	return filepath.Join(filepath.Dir(control), listenersSocket)
}

// serveListeners takes listening sockets.
type serveListeners struct {
	gate
	n *node
}

func newServeListeners(n *node) *serveListeners { return &serveListeners{newGate(), n} }

// String implements [Task].
func (*serveListeners) String() string { return "listeners socket" }

// Run implements [Task].
func (t *serveListeners) Run(ctx context.Context) error {
	server, err := handover.Listen(ListenersSocket(t.n.boot.Socket), t.n, t.n.log)
	if err != nil {
		return err
	}
	t.open()
	return server.Serve(ctx)
}

// SetListener implements [handover.Taker].
func (n *node) SetListener(service string, f *os.File) error {
	e, err := n.steers()
	if err != nil {
		return err
	}
	return e.SetListener(service, f)
}

var _ handover.Taker = (*node)(nil)
