// Package metrics shows a node to Prometheus. Nothing is counted here: every
// scrape reads the counters where they are kept, so a metric and the line
// `sluice show` prints are the same number.
package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/internal/control"
)

// Source is what is shown. The node gives the same one to the control API.
type Source interface {
	Status(ctx context.Context) (control.Status, error)
	Services(ctx context.Context) ([]control.Service, error)
	Backends(ctx context.Context) ([]control.Backend, error)
	Drops(ctx context.Context) ([]control.Drop, error)
}

// ClusterSource tells of virtual clusters, where there are some.
type ClusterSource interface {
	VirtualClusters(ctx context.Context) ([]control.VirtualCluster, error)
}

// readTimeout bounds one scrape's reading of the counters.
const readTimeout = 5 * time.Second

// NewRegistry returns a registry of its own, free of what libraries put into
// the default one: the sources' metrics, those of the process and of Go. clusters
// may be nil.
func NewRegistry(s Source, clusters ClusterSource) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		&collector{source: s, clusters: clusters},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// collector reads the source at each scrape.
type collector struct {
	source   Source
	clusters ClusterSource
}

// Describe implements [prometheus.Collector].
func (*collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. What cannot be read fails the
// scrape of that part instead of looking like zeros.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	// Prometheus' collectors get no context, so the bound is our own.
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	o := output{to}
	// Each part by itself: one that cannot be read must not hide the others.
	var clusters []control.VirtualCluster
	if c.clusters != nil {
		var err error
		if clusters, err = c.clusters.VirtualClusters(ctx); err != nil {
			clusters = nil
			o.fail(vipState, err)
		}
		o.clusters(clusters)
	}
	if s, err := c.source.Status(ctx); err != nil {
		o.fail(buildInfo, err)
	} else {
		o.status(s, clusters)
	}
	if list, err := c.source.Services(ctx); err != nil {
		o.fail(servicePackets, err)
	} else {
		o.services(list)
	}
	if list, err := c.source.Backends(ctx); err != nil {
		o.fail(backendPackets, err)
	} else {
		for _, b := range list {
			o.backend(b)
		}
	}
	if list, err := c.source.Drops(ctx); err != nil {
		o.fail(droppedPackets, err)
	} else {
		for _, d := range list {
			o.counter(droppedPackets, d.Packets, d.Reason)
			o.counter(droppedBytes, d.Bytes, d.Reason)
		}
	}
}
