package vip

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
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
	AdvertKeys map[uint8]Secret `json:"-"`
	// HeartbeatKey authenticates heartbeats; 32 bytes. Every gateway has the same.
	HeartbeatKey Secret `json:"-"`
}

// Health is how a gateway is in what the node process knows.
type Health struct {
	// Faults say why it must not serve.
	Faults []string
	// Synced says by cluster whether the active gateway's flows are here.
	Synced map[string]bool
	// Streamed says by cluster when they were last heard coming, in CLOCK_MONOTONIC,
	// while they are not all here.
	Streamed map[string]time.Duration
	// Terms are the highest by cluster that other gateways told flows in: one that was
	// away may not have heard of them otherwise.
	Terms map[string]uint64
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
		case c.Heartbeat.Enabled() && len(c.Peers) > 0 && len(c.HeartbeatKey.reveal()) != auth.MinKey:
			errs = append(errs, fmt.Errorf("virtual cluster %q: its heartbeat has no key", c.Name))
		}
		seen[c.Name] = true
	}
	return errors.Join(errs...)
}

func (c Cluster) equal(o Cluster) bool {
	same := func(a, b Secret) bool { return bytes.Equal(a.reveal(), b.reveal()) }
	return reflect.DeepEqual(c.VirtualCluster, o.VirtualCluster) &&
		same(c.HeartbeatKey, o.HeartbeatKey) && maps.EqualFunc(c.AdvertKeys, o.AdvertKeys, same)
}

// keys are those of adverts, nil with none.
func (c Cluster) keys() (*auth.Keys, error) {
	if len(c.AdvertKeys) == 0 {
		return nil, nil
	}
	keys := map[uint8]auth.Key{}
	for id, secret := range c.AdvertKeys {
		key, err := auth.ParseKey(string(secret.reveal()))
		if err != nil {
			return nil, fmt.Errorf("key %d of adverts: %v", id, err)
		}
		keys[id] = key
	}
	return auth.NewKeys(uint8(c.Auth.Send), keys)
}

// ParseAdvertKey reads the content of a key file: a key as text, hex behind "hex:",
// and perhaps the end of a line.
func ParseAdvertKey(text []byte) (Secret, error) {
	line := strings.TrimRight(string(text), "\r\n")
	if _, err := auth.ParseKey(line); err != nil {
		return Secret{}, err
	}
	return NewSecret([]byte(line)), nil
}

// alone says that there is no second gateway to take over.
func (c Cluster) alone() bool { return len(c.Peers) == 0 }
