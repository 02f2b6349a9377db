package doctor

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	keepalivedName = "keepalived"
	keepalivedFile = "/etc/keepalived/keepalived.conf"
	// maxConfiguration bounds what is read of it.
	maxConfiguration = 1 << 20
)

// Keepalived implements [gateway].
func (system) Keepalived() ([]keepalived, error) {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("look for keepalived: %v", err)
	}
	list, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for keepalived: %v", err)
	}
	var found []keepalived
	for _, entry := range list {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || nameOf(pid) != keepalivedName || nameOf(parentOf(pid)) == keepalivedName {
			continue // its children do what it is told to
		}
		if there, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && there != here {
			continue
		}
		found = append(found, readKeepalived(pid))
	}
	return found, nil
}

// nameOf is "" for a process that has ended.
func nameOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nPPid:")
	line, _, _ := strings.Cut(rest, "\n")
	parent, _ := strconv.Atoi(strings.TrimSpace(line)) // 0 is nobody
	return parent
}

func readKeepalived(pid int) keepalived {
	k := keepalived{PID: pid, File: keepalivedFile}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		k.Fault = err.Error()
		return k
	}
	k.File = fileOf(strings.Split(strings.TrimRight(string(command), "\x00"), "\x00"))
	path := k.File
	if !filepath.IsAbs(path) {
		path = filepath.Join("cwd", path)
	} else {
		path = filepath.Join("root", path)
	}
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), path))
	if err != nil {
		k.Fault = err.Error()
		return k
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfiguration))
	if err != nil {
		k.Fault = err.Error()
		return k
	}
	var more bool
	if k.Routers, more = virtualRouters(string(text)); more {
		k.Fault = k.File + " includes other files, which are not looked at"
	}
	return k
}

// fileOf is the settings file of a command line.
func fileOf(args []string) string {
	for i, arg := range args[min(1, len(args)):] {
		if name, found := strings.CutPrefix(arg, "--use-file="); found {
			return name
		}
		if arg == "-f" || arg == "--use-file" {
			if i+2 < len(args) {
				return args[i+2]
			}
		} else if name, found := strings.CutPrefix(arg, "-f"); found {
			return name
		}
	}
	return keepalivedFile
}

// virtualRouters finds interface and virtual_router_id of each vrrp_instance, and
// says whether there are other files. It is no check of the text: what is not in
// place is passed over.
func virtualRouters(text string) (list []virtualRouter, more bool) {
	var now *virtualRouter
	depth, begins := 0, false
	for line := range strings.Lines(text) {
		if at := strings.IndexAny(line, "#!"); at >= 0 {
			line = line[:at]
		}
		words := strings.Fields(strings.NewReplacer("{", " { ", "}", " } ").Replace(line))
		for i, word := range words {
			next := ""
			if i+1 < len(words) {
				next = strings.Trim(words[i+1], `"`)
			}
			switch word {
			case "{":
				if depth++; depth == 1 && !begins {
					now = nil
				}
				begins = false
			case "}":
				depth = max(0, depth-1)
			case "include":
				more = more || i == 0
			case "vrrp_instance":
				if depth == 0 {
					list = append(list, virtualRouter{})
					now, begins = &list[len(list)-1], true
				}
			case "interface":
				if now != nil && depth == 1 {
					now.Interface = next
				}
			case "virtual_router_id":
				if now != nil && depth == 1 {
					now.VRID, _ = strconv.Atoi(next) // 0 is none of ours
				}
			}
		}
	}
	return list, more
}
