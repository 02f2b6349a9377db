package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Give makes the listening socket of f the one that accepts connections to a
// service of the node whose handover socket is at path. The caller keeps f and
// accepts from it.
func Give(ctx context.Context, path, service string, f *os.File) error {
	if service == "" || len(service) > maxName {
		return fmt.Errorf("give a listener: a service's name has 1 to %d bytes", maxName)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, networkName, path)
	if err != nil {
		return fmt.Errorf("give listener of %q: %v; is sluice run running?", service, err)
	}
	defer c.Close()
	conn := c.(*net.UnixConn)
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("give listener of %q: %v", service, err)
		}
	}
	if err := send(conn, service, f); err != nil {
		return fmt.Errorf("give listener of %q: %v", service, err)
	}
	return answer(conn, service)
}

// send does not use f.Fd, which would make the socket blocking for every process
// that has it: the caller could not stop accepting any more.
func send(conn *net.UnixConn, service string, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = conn.WriteMsgUnix([]byte(service), unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, sent)
}

func answer(conn *net.UnixConn, service string) error {
	data := make([]byte, maxAnswer)
	n, _, _, _, err := conn.ReadMsgUnix(data, nil)
	if err != nil {
		return fmt.Errorf("give listener of %q: %v", service, err)
	}
	if said := string(data[:n]); said != accepted {
		return errors.New(said)
	}
	return nil
}
