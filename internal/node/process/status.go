package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Status is what /proc/PID/status says about a process's rights.
type Status struct {
	Parent      int
	UID         int // effective
	NoNewPrivs  bool
	Inheritable CapSet
	Permitted   CapSet
	Effective   CapSet
	Bounding    CapSet
	Ambient     CapSet
}

// ReadStatus reads the rights of a process; pid 0 is the calling process.
// An error matches [os.ErrNotExist] when no such process lives.
func ReadStatus(pid int) (Status, error) {
	path := "/proc/self/status"
	if pid != 0 {
		path = fmt.Sprintf("/proc/%d/status", pid)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Status{}, fmt.Errorf("read rights of process %d: %w", pid, err)
	}
	status, err := parseStatus(string(text))
	if err != nil {
		return Status{}, fmt.Errorf("read rights of process %d: %v", pid, err)
	}
	return status, nil
}

// parseStatus reads "Name:\tvalue" lines. A set that is not there is an error
// and not an empty set: an empty set would read as harmless.
func parseStatus(text string) (Status, error) {
	var s Status
	sets := map[string]*CapSet{
		"CapInh": &s.Inheritable, "CapPrm": &s.Permitted, "CapEff": &s.Effective,
		"CapBnd": &s.Bounding, "CapAmb": &s.Ambient,
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		var err error
		switch name {
		case "PPid":
			s.Parent, err = strconv.Atoi(fields[0])
		case "Uid":
			if len(fields) != 4 {
				return Status{}, fmt.Errorf("line %q: want four ids", strings.TrimSpace(line))
			}
			s.UID, err = strconv.Atoi(fields[1])
		case "NoNewPrivs":
			s.NoNewPrivs = fields[0] == "1"
		default:
			set, wanted := sets[name]
			if !wanted {
				continue
			}
			var v uint64
			v, err = strconv.ParseUint(fields[0], 16, 64)
			*set = CapSet(v)
			delete(sets, name)
		}
		if err != nil {
			return Status{}, fmt.Errorf("line %q: %v", strings.TrimSpace(line), err)
		}
	}
	if len(sets) != 0 {
		return Status{}, fmt.Errorf("%d capability sets are missing", len(sets))
	}
	return s, nil
}
