// Package doctor looks at a machine with the eyes of its settings and says what
// keeps it from steering well: one finding a thing looked at, each with what to
// do. It changes nothing and needs no running node, but tells more with one.
package doctor

import (
	"context"
	"fmt"
	"slices"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/links"
)

// Level says how bad a finding is.
type Level string

// The levels. Fail means that something the settings ask for cannot work.
const (
	Pass Level = "pass"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is one thing that was looked at.
type Finding struct {
	Level   Level
	Subject string // what was looked at, such as "interface ext0"
	Text    string // how it is
	Hint    string // what to do; empty on Pass
}

// Examine looks at the machine this program runs on. Some checks need root and
// say so when they are not given it.
func Examine(ctx context.Context, s *config.Settings) []Finding {
	client := control.NewClient(s.Node.Control.Socket)
	defer client.Close()
	return examine(ctx, s, system{}, client)
}

// A Node is what a running node is asked; it is [control.Client].
type Node interface {
	Status(ctx context.Context) (control.Status, error)
	Services(ctx context.Context) (control.ServiceList, error)
	Backends(ctx context.Context) (control.BackendList, error)
	VirtualClusters(ctx context.Context) (control.VirtualClusterList, error)
}

// examination is one run over all checks.
type examination struct {
	settings *config.Settings
	machine  machine
	node     running
	// selection are the interfaces the settings lead to, links all there are,
	// by index.
	selection links.Selection
	links     map[int]links.Link
	findings  []Finding
}

// running is what the node said, if there is one.
type running struct {
	answers  bool
	status   control.Status
	services []control.Service
	backends []control.Backend
	clusters []control.VirtualCluster
}

// checks in the order in which their findings are read: what all depends on
// first. To add one, write a function of this shape in the file of its noun, ask
// the machine through one of the small interfaces of machine.go, and add its
// ailments to the table of the tests.
var checks = []func(context.Context, *examination){
	checkRights, checkKernel, checkBPFFS, checkClock,
	checkInterfaces, checkForwarding, checkPorts,
	checkVIPs, checkBackends, checkReturnPath, checkDSR, checkNodes, checkTunnels, checkDecap, checkRuleset,
	checkElectedVIPs, checkHeartbeats, checkPings, checkVirtualMACs, checkAdverts, checkFirewall,
	checkClusterKey, checkKeyFiles, checkUrgency, checkKeepalived,
}

// examine runs every check, also after one failed: who repairs a machine wants
// the whole list.
func examine(ctx context.Context, s *config.Settings, m machine, n Node) []Finding {
	e := &examination{settings: s, machine: m, links: make(map[int]links.Link)}
	e.ask(ctx, n)
	if !e.look() {
		return e.findings
	}
	for _, check := range checks {
		check(ctx, e)
	}
	return e.findings
}

// ask gets from the node what it alone knows.
func (e *examination) ask(ctx context.Context, n Node) {
	const subject = "node"
	status, err := n.Status(ctx)
	if err != nil {
		e.warn(subject, fmt.Sprintf("no node answers: %v", err),
			"start it with \"sluice run\" to have counters and health looked at, too")
		return
	}
	services, err := n.Services(ctx)
	if err == nil {
		var backends control.BackendList
		backends, err = n.Backends(ctx)
		e.node = running{answers: true, status: status, services: services.Services, backends: backends.Backends}
	}
	if err == nil && len(e.clusters()) > 0 {
		var clusters control.VirtualClusterList
		clusters, err = n.VirtualClusters(ctx)
		e.node.clusters = clusters.VirtualClusters
	}
	if err != nil {
		e.node = running{}
		e.warn(subject, fmt.Sprintf("the node answers in part: %v", err), "look at its log")
		return
	}
	e.pass(subject, "%s runs generation %d", status.Node, status.Settings.Generation)
	for _, a := range status.Alarms {
		level := Warn
		if a.Severity == "critical" {
			level = Fail
		}
		e.add(level, a.Subject, a.Text, a.Hint)
	}
}

// look resolves the interfaces. Without them there is nothing to examine.
func (e *examination) look() bool {
	list, err := e.machine.Links()
	if err != nil {
		e.fail("interfaces", err.Error(), "run doctor on the gateway itself, in its network namespace")
		return false
	}
	for _, l := range list {
		e.links[l.Index] = l
	}
	e.selection, err = links.Select(e.machine, e.settings)
	if err != nil {
		e.fail("interfaces", err.Error(), "correct the settings")
		return false
	}
	for _, w := range e.selection.Warnings {
		e.warn("interfaces", w, "add the route or address, or name the interfaces in dataplane.interfaces")
	}
	return true
}

func (e *examination) add(level Level, subject, text, hint string) {
	e.findings = append(e.findings, Finding{level, subject, text, hint})
}

func (e *examination) pass(subject, format string, args ...any) {
	e.add(Pass, subject, fmt.Sprintf(format, args...), "")
}

func (e *examination) warn(subject, text, hint string) { e.add(Warn, subject, text, hint) }

func (e *examination) fail(subject, text, hint string) { e.add(Fail, subject, text, hint) }

// services returns those of some modes, all without one.
func (e *examination) services(modes ...config.Mode) []config.Service {
	var list []config.Service
	for _, s := range e.settings.Services {
		if len(modes) == 0 || slices.Contains(modes, s.Mode) {
			list = append(list, s)
		}
	}
	return list
}

// clusters are the virtual clusters that this node is in.
func (e *examination) clusters() []config.VirtualCluster {
	var list []config.VirtualCluster
	for _, c := range e.settings.VirtualClusters {
		if c.Member {
			list = append(list, c)
		}
	}
	return list
}

// cluster is what the node tells of a virtual cluster, nil for nothing.
func (e *examination) cluster(name string) *control.VirtualCluster {
	for i := range e.node.clusters {
		if e.node.clusters[i].Name == name {
			return &e.node.clusters[i]
		}
	}
	return nil
}

// carries says whether an interface carries, or will carry, the XDP program.
func (e *examination) carries(name string) bool {
	return slices.Contains(e.selection.Names, name)
}
