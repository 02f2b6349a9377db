package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"sluice/internal/nettest"
	"sluice/tools/bench/figure"
	"sluice/tools/bench/wire"
)

// proxyOptions are what the command line of "bench proxy" chooses.
type proxyOptions struct {
	sluice      string
	connections int
	megabytes   int
	rounds      int
}

func proxyCommand() *cli.Command {
	return &cli.Command{
		Name:  "proxy",
		Usage: "gateway CPU per connection and per GB, next to HAProxy and nftables",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "sluice", Value: "bin/sluice", Usage: "`PATH` of the sluice program"},
			&cli.IntFlag{Name: "connections", Value: 1000, Usage: "`N` connections a sample"},
			&cli.IntFlag{Name: "megabytes", Value: 256, Usage: "`N` MB a sample, half of them each way"},
		},
		Action: func(c *cli.Context) (err error) {
			o := proxyOptions{connections: c.Int("connections"), megabytes: c.Int("megabytes")}
			if o.rounds, err = rounds(c); err != nil {
				return err
			}
			if o.connections < 1 || o.megabytes < 1 {
				return usageError{errors.New("--connections and --megabytes: at least 1")}
			}
			if o.sluice, err = nettest.FindProgram(c.String("sluice")); err != nil {
				return fmt.Errorf("%v; \"make build\" makes it, --sluice names another", err)
			}
			t, err := benchProxy(c.Context, o)
			if err != nil {
				return err
			}
			return show(c, t, plot{"per_haproxy_connection", 0.1})
		},
	}
}

// benchProxy measures every way in turns, first connections, then bulk.
func benchProxy(ctx context.Context, o proxyOptions) (t figure.Table, err error) {
	s, err := openSite()
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var all []*forwarder
	defer func() {
		for _, f := range all {
			err = errors.Join(err, f.close())
		}
	}()
	for i, w := range waysOf(o.sluice) {
		f, err := newForwarder(ctx, s, i, w)
		if err != nil {
			return t, err
		}
		all = append(all, f)
	}
	perConnection, err := figure.Interleave(ctx, o.rounds, len(all), func(i int) (cost, error) {
		// What a way has not touched while others had their turn is far away.
		if err := all[i].connections(ctx, max(o.connections/4, 1)); err != nil {
			return cost{}, err
		}
		return all[i].spent(func() (float64, error) {
			return float64(o.connections), all[i].connections(ctx, o.connections)
		})
	})
	if err != nil {
		return t, err
	}
	perByte, err := figure.Interleave(ctx, o.rounds, len(all), func(i int) (cost, error) {
		return all[i].spent(func() (float64, error) {
			moved, err := all[i].bulk(ctx, o.megabytes*1_000_000)
			return float64(moved), err
		})
	})
	return tableProxy(all, perConnection, perByte), err
}

// cost is what the gateway spends on one connection or byte, in seconds.
type cost struct{ napi, processes float64 }

func (c cost) sum() float64 { return c.napi + c.processes }

// spent is what the gateway spends while fn runs, by each of what fn returns.
func (f *forwarder) spent(fn func() (float64, error)) (cost, error) {
	before, err := f.wire.Time(f.pids...)
	if err != nil {
		return cost{}, err
	}
	done, err := fn()
	if err != nil {
		return cost{}, fmt.Errorf("%s: %v", f.name, err)
	}
	after, err := f.wire.Time(f.pids...)
	s := after.Since(before)
	return cost{napi: s.NAPI.Seconds() / done, processes: s.Processes.Seconds() / done}, err
}

// at once are the connections of a sample.
const (
	atOnce    = 64
	bulkConns = 4
	patience  = 60 * time.Second
)

func (f *forwarder) listen() netip.AddrPort { return netip.AddrPortFrom(wire.VIP, servicePort) }

// connections opens, is greeted and closes, so many times.
func (f *forwarder) connections(ctx context.Context, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	for worker := range atOnce {
		group.Go(func() error {
			for i := worker; i < count; i += atOnce {
				if err := f.connect(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (f *forwarder) connect(ctx context.Context) error {
	c, err := f.wire.Client.Dial(ctx, f.listen())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, len(banner)))
	return err
}

// bulk sends half of so many bytes and has them come back, and returns how many
// went through the gateway.
func (f *forwarder) bulk(ctx context.Context, bytes int) (int, error) {
	conns, err := nettest.OpenConns(ctx, f.wire.Client, f.listen(), bulkConns)
	if err != nil {
		return 0, err
	}
	defer conns.Close()
	if _, err := conns.Read(len(banner), patience); err != nil {
		return 0, err
	}
	half := make([]byte, max(bytes/2/bulkConns, 1))
	return 2 * bulkConns * len(half), conns.Exchange(half, patience)
}

func tableProxy(all []*forwarder, perConnection, perByte [][]cost) figure.Table {
	t := figure.Table{Name: "proxy", Notes: []string{
		"gateway CPU: kernel threads of its interfaces' NAPI, in which the driver, XDP and the stack run, and its processes (in brackets behind the figures: highest less lowest sample)",
		"client and backend have threads of their own; offloads off, as on a wire; the row with offloads counts HAProxy's process alone, for veth then hands packets over in the sender's context",
		"per_haproxy_...: CPU in units of HAProxy's without offloads, in the same round; goals 0.1 a connection, 0.25 a GB",
	}}
	haproxy := slices.IndexFunc(all, func(f *forwarder) bool { return f.name == reference })
	for i, f := range all {
		connections := connectionFigures(perConnection[i], perConnection[haproxy])
		bytes := byteFigures(perByte[i], perByte[haproxy])
		t.Rows = append(t.Rows, figure.Row{
			Varied:  []figure.Cell{{Name: "way", Value: f.name}},
			Facts:   []figure.Cell{{Name: "offloads", Value: f.offloads}},
			Figures: slices.Concat(connections, bytes),
		})
	}
	return t
}

func connectionFigures(c, haproxy []cost) []figure.Figure {
	sum := figure.Each(c, cost.sum)
	return []figure.Figure{
		{Name: "connections_per_cpu_s", Unit: "1/s", Samples: figure.Each(c, func(c cost) float64 { return 1 / c.sum() })},
		{Name: "napi_us_per_connection", Unit: "us", Samples: figure.Each(c, func(c cost) float64 { return c.napi * 1e6 })},
		{Name: "process_us_per_connection", Unit: "us", Samples: figure.Each(c, func(c cost) float64 { return c.processes * 1e6 })},
		{Name: "per_haproxy_connection", Unit: "x", Samples: figure.Ratios(sum, figure.Each(haproxy, cost.sum))},
	}
}

func byteFigures(c, haproxy []cost) []figure.Figure {
	sum := figure.Each(c, cost.sum)
	return []figure.Figure{
		{Name: "napi_s_per_gb", Unit: "s", Samples: figure.Each(c, func(c cost) float64 { return c.napi * 1e9 })},
		{Name: "process_s_per_gb", Unit: "s", Samples: figure.Each(c, func(c cost) float64 { return c.processes * 1e9 })},
		{Name: "per_haproxy_gb", Unit: "x", Samples: figure.Ratios(sum, figure.Each(haproxy, cost.sum))},
	}
}
