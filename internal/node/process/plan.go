package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// plan is what a start will do, decided from settings and machine before the
// first step is taken, so that a missing right stops it with nothing half done.
type plan struct {
	confinement confinement // of the node
	vip         confinement
	mountPoint  string // where bpffs is missing, "" when it is not
	pins        string // "" when no dataplane is wanted
	directories []directory
}

// newPlan makes the plan, without a step that could be seen from outside.
// Without a dataplane the node needs no capability and no bpffs, and nothing is
// asked for.
func newPlan(o Options) (plan, error) {
	if o.Failover && !o.Dataplane {
		return plan{}, errors.New("start sluice: virtual clusters without a dataplane")
	}
	var p plan
	uid, gid, err := lookUpUser(o.Boot.User)
	if err != nil {
		return plan{}, err
	}
	p.confinement = confinement{uid: uid, gid: gid}
	p.vip = confinement{uid: uid, gid: gid, caps: VIPCaps, rank: rankUrgent}
	socket := filepath.Base(o.Boot.Socket)
	p.directories = []directory{
		{key: "the directory of node.control.socket", path: filepath.Dir(o.Boot.Socket), mode: 0o755,
			ours: append([]string{socket, socket + ".new", parentLock, VIPSocket}, o.RunNames...)},
		{key: "node.data_dir", path: o.Boot.DataDir, mode: 0o700,
			ours: append([]string{nodeLock, parentLock, VIPDir}, o.DataNames...)},
	}
	if !o.Dataplane {
		return p, nil
	}
	p.confinement.caps = NodeCaps
	p.pins = o.Boot.Pins
	p.directories = append(p.directories, directory{key: "node.bpffs", path: p.pins, mode: 0o700, whole: true})
	p.mountPoint, err = mountPointFor(p.pins)
	return p, err
}

// lookUpUser returns the ids of the node's user. Where there is no such user
// the node keeps uid 0, with the same capabilities and no more; where the
// parent is not root there is no choice.
func lookUpUser(name string) (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return os.Geteuid(), os.Getegid(), nil
	}
	u, err := user.Lookup(name)
	if _, ok := errors.AsType[user.UnknownUserError](err); ok {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look up node.user %q: %v", name, err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return 0, 0, fmt.Errorf("look up node.user %q: %v", name, err)
	}
	return uid, gid, nil
}

// needs are the capabilities the parent uses: to confine and end its children,
// to give them directories, to mount bpffs. Those of a vip process are among a
// node's, so one may come later. What makes it timely (CAP_SYS_NICE and
// CAP_SYS_RESOURCE) is used where it is there.
func (p plan) needs() CapSet {
	need := p.confinement.needs()
	if p.confinement.changesUser() {
		need |= capSet(unix.CAP_CHOWN, unix.CAP_KILL)
	}
	if p.mountPoint != "" {
		need |= capSet(unix.CAP_SYS_ADMIN)
	}
	return need
}

// check names every capability this process lacks for the plan.
func (p plan) check(s Status) error {
	missing := p.needs() &^ s.Effective
	if missing == 0 {
		return nil
	}
	hint := "run it as root"
	if s.UID == 0 {
		// Root without capabilities is root of a container.
		hint = "give them to the container (--cap-add), or run it on the host"
	}
	return fmt.Errorf("start sluice: missing %s: %s", missing, hint)
}

// carryOut makes bpffs and the directories ready. Nothing changes hands before
// lock, called in between, has made sure that they are nobody else's.
func (p plan) carryOut(lock func() error) error {
	if p.mountPoint != "" {
		if err := mountBPFFS(p.mountPoint); err != nil {
			return err
		}
	}
	for _, d := range p.directories {
		if err := d.make(); err != nil {
			return err
		}
	}
	if err := lock(); err != nil {
		return err
	}
	for _, d := range p.directories {
		if err := d.give(p.confinement.uid, p.confinement.gid); err != nil {
			return err
		}
	}
	if p.pins == "" || !p.confinement.changesUser() {
		return nil
	}
	return openPath(p.pins)
}
