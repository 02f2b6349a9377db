package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/control"
)

// output turns the node's values into metrics.
type output struct {
	to chan<- prometheus.Metric
}

func (o output) counter(d *prometheus.Desc, v uint64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (o output) gauge(d *prometheus.Desc, v float64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// fail puts an error in the place of what could not be read.
func (o output) fail(d *prometheus.Desc, err error) { o.to <- prometheus.NewInvalidMetric(d, err) }

// status shows the node itself. The reload metrics appear with the first reload:
// a zero before would read as a failure. Its alarms include those of its virtual
// clusters.
func (o output) status(s control.Status, clusters []control.VirtualCluster) {
	o.gauge(buildInfo, 1, s.Build.Version, s.Build.Commit, s.Build.Go)
	o.gauge(startTime, seconds(s.StartedAt))
	for _, a := range s.Attachments {
		o.gauge(xdpInfo, 1, a.Interface, a.Mode, a.Driver)
	}
	for _, d := range s.Decap {
		o.counter(decapPackets, d.Packets, d.Verdict)
		o.counter(decapBytes, d.Bytes, d.Verdict)
	}
	o.gauge(flows, float64(s.Totals.FlowsNow))
	o.gauge(flowsMax, float64(s.Totals.FlowsMax))
	bySeverity := map[string]float64{"warning": 0, "critical": 0}
	for _, a := range s.Alarms {
		bySeverity[a.Severity]++
	}
	for _, c := range clusters {
		for _, a := range c.Alarms {
			bySeverity[a.Of(c.Name).Severity]++
		}
	}
	for severity, n := range bySeverity {
		o.gauge(alarms, n, severity)
	}
	o.gauge(generation, float64(s.Settings.Generation))
	o.gauge(fileIsBehind, truth(s.Settings.FileIsBehind))
	if r := s.Settings.LastReload; r != nil {
		o.gauge(reloadOK, truth(r.OK))
		o.gauge(reloadTime, seconds(r.At))
	}
}

// services shows each series once. Two services of one name, address and mode
// should not be, but one repeated series would cost the whole scrape.
func (o output) services(list []control.Service) {
	shown := make(map[[3]string]bool)
	for _, s := range list {
		series := [3]string{s.Name, s.Listen.String(), s.Mode}
		if !shown[series] {
			shown[series] = true
			o.service(s)
		}
	}
}

func (o output) service(s control.Service) {
	labels := []string{s.Name, s.Listen.String(), s.Mode}
	o.counter(servicePackets, s.PacketsIn, append(labels, "in")...)
	o.counter(servicePackets, s.PacketsOut, append(labels, "out")...)
	o.counter(serviceBytes, s.BytesIn, append(labels, "in")...)
	o.counter(serviceBytes, s.BytesOut, append(labels, "out")...)
	o.counter(serviceFlowsOpened, s.FlowsOpened, labels...)
	o.gauge(serviceFlows, float64(s.FlowsNow), labels...)
	o.counter(serviceSYNs, s.SYNs, labels...)
	o.counter(serviceRefused, s.Refused, labels...)
	o.counter(serviceUnprotected, s.FlowsUnprotected, labels...)
	o.counter(serviceRevived, s.FlowsRevived, labels...)
	if s.RingEntries > 0 {
		for reason, n := range map[string]uint64{"any": s.RingInDoubt, "moved": s.RingMoved, "pending": s.RingPending, "refresh": s.RingRefresh} {
			o.gauge(serviceRing, float64(n), append(labels, reason)...)
		}
	}
	o.counter(serviceNoReturn, s.NoReturnPath, labels...)
	o.counter(serviceICMPErrors, s.ICMPErrors, labels...)
	if s.Removed {
		return // nothing new goes there
	}
	for _, b := range s.Backends {
		o.gauge(serviceBackendWeight, float64(b.Weight), s.Name, b.Name)
	}
}

// backendStates are shown each, so that a state left behind reads 0 and does
// not just end.
var backendStates = []control.BackendState{
	control.StateUp, control.StateDown, control.StateDraining, control.StateDisabled, control.StateRemoved,
}

// backend shows a backend over all services. name and address are both labels:
// dashboards want the one, joins with other exporters the other.
func (o output) backend(b control.Backend) {
	labels := []string{b.Name, b.Addr.String()}
	o.counter(backendPackets, b.PacketsIn, append(labels, "in")...)
	o.counter(backendPackets, b.PacketsOut, append(labels, "out")...)
	o.counter(backendBytes, b.BytesIn, append(labels, "in")...)
	o.counter(backendBytes, b.BytesOut, append(labels, "out")...)
	o.counter(backendFlowsOpened, b.FlowsOpened, labels...)
	o.gauge(backendFlows, float64(b.FlowsNow), labels...)
	o.counter(backendSYNs, b.SYNs, labels...)
	o.counter(backendResets, b.Resets, labels...)
	o.gauge(backendHealthy, truth(b.Health == "passing" || b.Health == "off"), labels...)
	for _, state := range backendStates {
		o.gauge(backendState, truth(b.State == state), append(labels, string(state))...)
	}
}

func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
