package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/config"
	"github.com/parley-backend/parley/internal/metrics"
)

// reloads reads the configuration again at SIGHUP and when its file changes, until ctx ends. What concerns keys takes effect, whole or
// not at all; the log says what does not.
type reloads struct {
	reader *config.Reloader
	server *parley.Server
	counts *metrics.Metrics
	log    *slog.Logger
}

// hangups returns what is told of SIGHUP: from then on it does not end the process any more.
func hangups() (asked chan os.Signal, stop func()) {
	asked = make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	return asked, func() { signal.Stop(asked) }
}

func (r *reloads) run(ctx context.Context, asked <-chan os.Signal) {
	changed := make(chan struct{}, 1)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		r.reader.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { <-watching }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			r.reload(ctx, "SIGHUP")
		case <-changed:
			r.reload(ctx, "file")
		}
	}
}

// reload is one of them. What is wrong was handled when it returns: logged and counted.
func (r *reloads) reload(ctx context.Context, cause string) {
	reading, err := r.reader.Read(r.log)
	if err == nil && cause == "file" && reading.Same {
		return // it was touched
	}
	if err == nil {
		err = r.server.Reload(ctx, reading.Config)
	}
	if ctx.Err() != nil {
		return // stopping
	}
	r.counts.Reloaded(err == nil)
	if err != nil {
		for _, problem := range flatten(err) {
			r.log.Error("the configuration was not reloaded; nothing has changed", "cause", cause, "problem", strings.ReplaceAll(problem.Error(), "\n", "; "))
		}
		return
	}
	r.reader.Accept(reading)
	for _, warning := range reading.Warnings {
		r.log.Warn(warning)
	}
	r.log.Info("the configuration was reloaded", "cause", cause, "changed", strings.Join(reading.Changed, ", "))
	if len(reading.Restart) > 0 {
		r.log.Warn(fmt.Sprintf("needs a restart: %s", strings.Join(reading.Restart, ", ")))
	}
}
