package control

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"golang.org/x/sys/unix"
)

// peer is who holds the other end of a connection, as the kernel recorded it
// when the connection was made. err is set where the kernel would not say.
type peer struct {
	uid uint32
	pid int32
	err error
}

type peerKey struct{}

// withPeer is the ConnContext of the server: the credentials are read once a
// connection, and every request on it is judged by them.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, readPeer(c))
}

func readPeer(c net.Conn) peer {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return peer{err: fmt.Errorf("not a unix socket")}
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return peer{err: err}
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil {
		return peer{err: err}
	}
	if credErr != nil {
		return peer{err: credErr}
	}
	return peer{uid: cred.Uid, pid: cred.Pid}
}

// allowRootAndSelf is the rule of the control socket: it can stop the steering
// of a whole site, so it serves root and the user the node runs as.
func allowRootAndSelf(p peer) error {
	if p.err != nil {
		return NewError(CodeForbidden, fmt.Sprintf("check who is asking: %v", p.err), "")
	}
	self := uint32(os.Geteuid()) //nolint:gosec // a uid fits by definition
	if p.uid == 0 || p.uid == self {
		return nil
	}
	return NewError(CodeForbidden, fmt.Sprintf("user id %d may not use the control socket", p.uid),
		fmt.Sprintf("ask as root or as user id %d", self))
}

// guard refuses, before any routing, what allow does not let in. It answers
// instead of hanging up, so that the one turned away learns why.
func guard(next http.Handler, allow func(peer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		if !ok {
			p.err = fmt.Errorf("no credentials were read")
		}
		if err := allow(p); err != nil {
			w.Header().Set("Connection", "close")
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
