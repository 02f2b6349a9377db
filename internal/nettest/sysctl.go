package nettest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Sysctl returns a network setting of the namespace. The key is the path below
// /proc/sys, such as "net/ipv4/ip_forward": with slashes, since interface names
// may hold dots.
func (n *Namespace) Sysctl(key string) (string, error) {
	path, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	var value []byte
	err = n.Do(func() (err error) {
		value, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read sysctl %q in namespace %q: %v", key, n.name, err)
	}
	return strings.TrimSpace(string(value)), nil
}

// SetSysctl writes a network setting of the namespace; the key is as in Sysctl.
func (n *Namespace) SetSysctl(key, value string) error {
	path, err := sysctlPath(key)
	if err != nil {
		return err
	}
	err = n.Do(func() error { return os.WriteFile(path, []byte(value), 0) })
	if err != nil {
		return fmt.Errorf("write sysctl %q in namespace %q: %v", key, n.name, err)
	}
	return nil
}

// sysctlPath refuses whatever is not below net/: it would be the host's.
func sysctlPath(key string) (string, error) {
	if !strings.HasPrefix(key, "net/") || filepath.Clean(key) != key {
		return "", fmt.Errorf("use sysctl %q: only keys like \"net/ipv4/ip_forward\" belong to a namespace", key)
	}
	return filepath.Join("/proc/sys", key), nil
}

// calm makes the calling thread's namespace behave the same on every host. A
// namespace inherits its IPv4 settings from the host, where distributions
// differ, and IPv6 would hold every new address back for a second.
func calm() error {
	settings := []struct{ key, value string }{
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv4/ip_forward", "0"},
		{"net/ipv6/conf/all/disable_ipv6", "0"},
		{"net/ipv6/conf/default/disable_ipv6", "0"},
		{"net/ipv6/conf/default/accept_dad", "0"},
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/router_solicitations", "0"},
	}
	for _, s := range settings {
		path := filepath.Join("/proc/sys", s.key)
		err := os.WriteFile(path, []byte(s.value), 0)
		// A host that was booted without IPv6 has no such keys.
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s.key, "net/ipv6/")) {
			return fmt.Errorf("write sysctl %q: %v", s.key, err)
		}
	}
	return nil
}
