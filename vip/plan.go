package vip

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/vip/auth"
)

// Plan is what a daemon is to run.
type Plan struct {
	// Node is this gateway's name.
	Node string
	// Version is the program's, Generation the settings': peers are told both.
	Version    string
	Generation uint64
	// Watchdog is how long the node process may be away before this gateway counts
	// as unable to serve.
	Watchdog time.Duration
	// Steers says that there is a dataplane, which has owner words.
	Steers   bool
	Clusters []Cluster
}

// Cluster is a virtual cluster, and its secrets.
type Cluster struct {
	config.VirtualCluster
	// AdvertKeys are the contents of the settings' key files, as ParseAdvertKey
	// returns them, by id.
	AdvertKeys map[uint8][]byte
	// HeartbeatKey authenticates heartbeats; 32 bytes. Every gateway has the same.
	HeartbeatKey []byte
}

// Health is how a gateway is in what the node process knows.
type Health struct {
	// Faults say why it must not serve.
	Faults []string
	// Synced says by cluster whether the active gateway's flows are here.
	Synced map[string]bool
}

// Check finds what cannot run.
func (p Plan) Check() error {
	var errs []error
	seen := map[string]bool{}
	for _, c := range p.Clusters {
		switch {
		case seen[c.Name]:
			errs = append(errs, fmt.Errorf("virtual cluster %q is there twice", c.Name))
		case !c.Member:
			errs = append(errs, fmt.Errorf("virtual cluster %q: node %q has no part in it", c.Name, p.Node))
		case c.Heartbeat.Enabled() && len(c.Peers) > 0 && len(c.HeartbeatKey) != auth.MinKey:
			errs = append(errs, fmt.Errorf("virtual cluster %q: its heartbeat has no key", c.Name))
		}
		seen[c.Name] = true
	}
	return errors.Join(errs...)
}

func (c Cluster) equal(o Cluster) bool { return reflect.DeepEqual(c, o) }

// keys are those of adverts, nil with none.
func (c Cluster) keys() (*auth.Keys, error) {
	if len(c.AdvertKeys) == 0 {
		return nil, nil
	}
	keys := map[uint8]auth.Key{}
	for id, secret := range c.AdvertKeys {
		key, err := auth.ParseKey(string(secret))
		if err != nil {
			return nil, fmt.Errorf("key %d of adverts: %v", id, err)
		}
		keys[id] = key
	}
	return auth.NewKeys(uint8(c.Auth.Send), keys)
}

// ParseAdvertKey reads the content of a key file: a key as text, hex behind "hex:",
// and perhaps the end of a line.
func ParseAdvertKey(text []byte) ([]byte, error) {
	line := strings.TrimRight(string(text), "\r\n")
	if _, err := auth.ParseKey(line); err != nil {
		return nil, err
	}
	return []byte(line), nil
}

// alone says that there is no second gateway to take over.
func (c Cluster) alone() bool { return len(c.Peers) == 0 }

// planFile holds the last plan, secrets included: for the owner alone.
const planFile = "plan.json"

// writePlan keeps a plan for the next process, which may have to begin without the
// node. It is whole or not there.
func writePlan(dir string, p Plan) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("keep plan: %v", err)
	}
	return replaceFile(filepath.Join(dir, planFile), text)
}

func readPlan(dir string) (Plan, error) {
	var p Plan
	text, err := os.ReadFile(filepath.Join(dir, planFile))
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read plan: %v", err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return Plan{}, fmt.Errorf("read plan: %v", err)
	}
	if err := p.Check(); err != nil {
		return Plan{}, fmt.Errorf("read plan: %v", err)
	}
	return p, nil
}

// replaceFile writes a file that is whole after a power loss, or as it was.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %v", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %v", path, err)
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %v", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %v", dir, err)
	}
	return nil
}
