package nettest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long a process has to end by itself after SIGTERM. An ssh client
// restores its terminal in it; nothing that tests start needs longer.
const grace = 500 * time.Millisecond

// endProcesses ends every process inside a namespace and returns when none is
// left. The namespace is ours, so whoever is in it was started for us, by us or
// by an operator in the lab.
func endProcesses(id nsID) error {
	return signalUntilGone(id, unix.SIGTERM, unix.SIGKILL, unix.SIGKILL)
}

// killAll kills every process inside without a warning. Who forks meanwhile is
// found the next time.
func killAll(id nsID) error {
	return signalUntilGone(id, unix.SIGKILL, unix.SIGKILL, unix.SIGKILL)
}

// signalUntilGone sends one signal after the other to whoever is left.
func signalUntilGone(id nsID, signals ...unix.Signal) error {
	if err := expendable(id); err != nil {
		return err
	}
	for _, signal := range signals {
		found, err := processesIn(id)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, p := range found {
			// ESRCH: it has just ended, which is what is wanted.
			_ = unix.PidfdSendSignal(p.fd, signal, nil, 0)
		}
		awaitExit(found, time.Now().Add(grace))
		for _, p := range found {
			unix.Close(p.fd)
		}
	}
	left, err := processesIn(id)
	for _, p := range left {
		unix.Close(p.fd)
	}
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("end processes: %d survive SIGKILL, process %d among them", len(left), left[0].pid)
	}
	return err
}

// expendable refuses the namespaces that we and process 1 live in: a mistake
// there would end the whole machine.
func expendable(id nsID) error {
	for _, who := range []string{"thread-self", "1"} {
		// Whose namespace we may not read, we may not signal either.
		lives, err := nsIDOf("/proc/" + who + "/ns/net")
		if err == nil && lives == id {
			return fmt.Errorf("end processes: refused, the namespace is that of process %s", who)
		}
	}
	return nil
}

// process is one that is held by a descriptor, so that its number cannot become
// another's between the look and the signal.
type process struct{ pid, fd int }

// processesIn returns the living processes inside a namespace, this one left
// out. The caller closes their descriptors.
func processesIn(id nsID) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %v", err)
	}
	var found []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !inNamespace(pid, id) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if !inNamespace(pid, id) {
			unix.Close(fd)
			continue
		}
		found = append(found, process{pid: pid, fd: fd})
	}
	return found, nil
}

// inNamespace is false for a zombie, which has left every namespace.
func inNamespace(pid int, id nsID) bool {
	got, err := nsIDOf("/proc/" + strconv.Itoa(pid) + "/ns/net")
	return err == nil && got == id
}

// awaitExit waits until all processes have ended or the deadline has passed.
func awaitExit(processes []process, deadline time.Time) {
	for _, p := range processes {
		for {
			left := time.Until(deadline).Milliseconds()
			if left <= 0 {
				return
			}
			poll := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(poll, int(left)); !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}
