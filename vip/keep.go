package vip

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// planFile holds the last plan, secrets included: for the owner alone.
const planFile = "plan.json"

// keptPlan is a plan in its file, and beside it, by cluster, what it does not
// marshal.
type keptPlan struct {
	Plan
	Secrets map[string]keptSecrets
}

type keptSecrets struct {
	Adverts   map[uint8][]byte
	Heartbeat []byte
}

// writePlan keeps a plan for the next process, which may have to begin without the
// node. It is whole or not there.
func writePlan(dir string, p Plan) error {
	kept := keptPlan{p, map[string]keptSecrets{}}
	for _, c := range p.Clusters {
		s := keptSecrets{Adverts: map[uint8][]byte{}, Heartbeat: c.HeartbeatKey.reveal()}
		for id, key := range c.AdvertKeys {
			s.Adverts[id] = key.reveal()
		}
		kept.Secrets[c.Name] = s
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return fmt.Errorf("keep plan: %v", err)
	}
	return replaceFile(filepath.Join(dir, planFile), text)
}

// readPlan returns an empty plan where none was kept.
func readPlan(dir string) (Plan, error) {
	text, err := os.ReadFile(filepath.Join(dir, planFile))
	if errors.Is(err, os.ErrNotExist) {
		return Plan{}, nil
	}
	if err != nil {
		return Plan{}, fmt.Errorf("read plan: %v", err)
	}
	var kept keptPlan
	if err := json.Unmarshal(text, &kept); err != nil {
		return Plan{}, fmt.Errorf("read plan: %v", err)
	}
	for i := range kept.Clusters {
		c := &kept.Clusters[i]
		s := kept.Secrets[c.Name]
		c.HeartbeatKey = NewSecret(s.Heartbeat)
		for id, key := range s.Adverts {
			if c.AdvertKeys == nil {
				c.AdvertKeys = map[uint8]Secret{}
			}
			c.AdvertKeys[id] = NewSecret(key)
		}
	}
	if err := kept.Check(); err != nil {
		return Plan{}, fmt.Errorf("read plan: %v", err)
	}
	return kept.Plan, nil
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
