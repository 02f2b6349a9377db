package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	headerTimeout = 5 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 2 * time.Second
	maxHeader     = 16 << 10
	// maxScrapes at once: a scrape reads every counter, and whoever may connect
	// must not turn that into load.
	maxScrapes = 4
)

// Serve answers GET /metrics on l until ctx is done and closes l. It returns
// nil when ctx ended it, else why the listener failed.
//
// There is no authentication, as everywhere with Prometheus: the address in the
// settings decides who can ask. So nothing here changes anything, nothing shown
// is secret, and a client can hold neither a goroutine for long nor many.
func Serve(ctx context.Context, l net.Listener, r *prometheus.Registry, log *slog.Logger) error {
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog: errorLog,
		// What can be read is shown; the rest is logged and missing.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	}))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		_ = server.Close()
		return fmt.Errorf("serve metrics: %v", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %v", err)
	}
	return nil
}
