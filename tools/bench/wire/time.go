package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Spent is CPU time.
type Spent struct {
	NAPI, Processes time.Duration
}

// Since is what was spent after an earlier look.
func (s Spent) Since(earlier Spent) Spent {
	return Spent{NAPI: s.NAPI - earlier.NAPI, Processes: s.Processes - earlier.Processes}
}

// Sum is all of it.
func (s Spent) Sum() time.Duration { return s.NAPI + s.Processes }

// napiTime is that of an interface's NAPI threads, whose names begin with the
// interface's. That must be unique on the machine.
func napiTime(link string) (time.Duration, error) {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	found := false
	for _, path := range names {
		comm, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(comm), "napi/"+link+"-") {
			continue
		}
		t, err := taskTime(filepath.Dir(path))
		if err != nil {
			return 0, err
		}
		sum += t
		found = true
	}
	if !found {
		return 0, errors.New("it has no NAPI thread")
	}
	return sum, nil
}

// processTime is that of processes and their living descendants.
func processTime(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return 0, err
		}
		for _, task := range tasks {
			t, err := taskTime(task)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a thread that ended meanwhile
			}
			if err != nil {
				return 0, err
			}
			sum += t
			children, err := childrenOf(task)
			if err != nil {
				return 0, err
			}
			t, err = processTime(children)
			if err != nil {
				return 0, err
			}
			sum += t
		}
	}
	return sum, nil
}

// taskTime reads the time on a CPU, in nanoseconds, where a tick would be too
// coarse.
func taskTime(task string) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(task, "schedstat"))
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(text, []byte(" "))
	ns, err := strconv.ParseInt(string(first), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read time of %s: %v", task, err)
	}
	return time.Duration(ns), nil
}

func childrenOf(task string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(task, "children"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("read children of %s: %v", task, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
