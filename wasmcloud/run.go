package wasmcloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// What Options say if they say nothing.
const (
	defaultShutdown = 250 * time.Millisecond // a host waits 300 ms and kills
	defaultStop     = 5 * time.Second
	defaultLinks    = 256
	firstLinksWait  = 2 * time.Second
)

// Options describe a run. Only New is needed.
type Options struct {
	// New makes the provider. What it is given answers at once, and its Invoke works when the first link is put.
	New func(*Runtime) (Provider, error)
	// Name is what the lattice lists the connection as, "parley-provider" if empty, and Version what telemetry says.
	Name, Version string
	// Sources are what the provider's config lattice_credentials may refer to.
	Sources credential.Registry
	// Telemetry is called with what the host said of OpenTelemetry, unless that is nothing. Nil for no traces and no numbers.
	Telemetry func(ctx context.Context, r Resource, o OTel) (Telemetry, error)

	// Stdin has the host data, and Stderr takes the log: those of the process if nil.
	Stdin  io.Reader
	Stderr io.Writer
	// RustLog is the variable RUST_LOG, which a host passes on: its level for everything, if it has one, goes before that of
	// the host data.
	RustLog string

	// Shutdown is how long a shutdown may take until the host has its answer, 250 ms if zero, because a host kills after 300 ms
	// unless WASMCLOUD_PROV_SHUTDOWN_DELAY_MS says otherwise. The provider's config shutdown_timeout_ms goes before it.
	Shutdown time.Duration
	// Stop is how long the end may take when ctx ends, 5 s if zero.
	Stop time.Duration
	// ParallelLinks is how many links may be changed at the same time, 256 if zero.
	ParallelLinks int
}

// Resource is what telemetry says of the process.
type Resource struct {
	Provider, Instance, Lattice, Host, Version string
}

// Telemetry is where traces, numbers and log lines go besides the log. Nil members are none.
type Telemetry struct {
	Traces  trace.TracerProvider
	Metrics metric.MeterProvider
	Log     slog.Handler
	// Stop sends what is left, until ctx ends.
	Stop func(ctx context.Context) error
}

// Run is the life of a provider: it reads what the host says, connects to the lattice, and has the provider do its work until the
// host, or the end of ctx, ends it; then the error is nil. ErrNoHostData, and any other error of the host data, is a
// *StartError. Run never takes longer to end than Options say.
func Run(ctx context.Context, o Options) error {
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Shutdown <= 0 {
		o.Shutdown = defaultShutdown
	}
	if o.Stop <= 0 {
		o.Stop = defaultStop
	}
	if o.ParallelLinks <= 0 {
		o.ParallelLinks = defaultLinks
	}
	if o.Name == "" {
		o.Name = "parley-provider"
	}
	data, err := ReadHostData(o.Stdin)
	if err != nil {
		return &StartError{err}
	}
	r, err := newRuntime(ctx, o, data)
	if err != nil {
		return err
	}
	err = r.run(ctx)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Shutdown)
	defer cancel()
	r.sendTelemetry(end)
	return err
}

// sendTelemetry sends what is left of traces, numbers and log lines.
func (r *Runtime) sendTelemetry(ctx context.Context) {
	if r.telemetry.Stop == nil {
		return
	}
	stop := r.telemetry.Stop
	r.telemetry.Stop = nil
	if err := stop(ctx); err != nil {
		r.log.Warn("some telemetry was not sent", "error", err)
	}
}

// A StartError says that the process was not started by a host, or not in a way that it understands.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }

func newRuntime(ctx context.Context, o Options, d *HostData) (*Runtime, error) {
	if !isToken(d.ProviderID) {
		return nil, &StartError{fmt.Errorf("the host data names no provider that can be called: provider_key is %.60q", d.ProviderID)}
	}
	if !isToken(d.Lattice) {
		return nil, &StartError{fmt.Errorf("the host data names no lattice: lattice_rpc_prefix is %.60q", d.Lattice)}
	}
	opener, err := newKeys(d)
	if err != nil {
		return nil, &StartError{err}
	}
	r := &Runtime{o: o, data: d, keys: opener, queue: newQueue(o.ParallelLinks), lattice: &lattice{}, stopping: make(chan *nats.Msg, 1), configs: make(chan map[string]string, 1)}
	level := logLevel(d.LogLevel, o.RustLog)
	handler := newLog(o.Stderr, level, d.JSONLogs)
	if o.Telemetry != nil {
		resource := Resource{Provider: d.ProviderID, Instance: d.InstanceID, Lattice: d.Lattice, Host: d.HostID, Version: o.Version}
		if r.telemetry, err = o.Telemetry(ctx, resource, d.OTel.With(d.Config)); err != nil {
			slog.New(handler).Error("no telemetry is sent", "error", err) // which is no reason not to work
			r.telemetry = Telemetry{}
		}
	}
	if r.telemetry.Log != nil {
		handler = slog.NewMultiHandler(handler, atLeast{r.telemetry.Log, level})
	}
	r.log = slog.New(handler)
	if r.observe, err = newObserver(r.telemetry); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Runtime) run(ctx context.Context) (err error) {
	if r.provider, err = r.o.New(r); err != nil {
		return err
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer r.cancel()
	r.config = r.data.Config
	if err = r.provider.Configure(r.ctx, Settings{Config: r.config, Secrets: r.data.Secrets}); err != nil {
		err = fmt.Errorf("the config of the provider: %w", err)
	} else {
		err = r.connect(ctx)
	}
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.Shutdown)
		defer cancel()
		return errors.Join(err, r.provider.Drain(end))
	}
	defer r.lattice.close()
	r.log.Info("the provider has started", "provider", r.data.ProviderID, "lattice", r.data.Lattice, "host", r.data.HostID, "instance", r.data.InstanceID, "version", r.o.Version)
	r.work.Go(r.configure)
	r.startLinks(ctx)
	if err := r.lattice.ready(); err != nil {
		return errors.Join(err, r.stop(r.o.Stop, nil))
	}
	select {
	case m := <-r.stopping:
		return r.stop(r.shutdownTime(), m)
	case <-ctx.Done():
		return r.stop(r.o.Stop, nil)
	}
}

func (r *Runtime) connect(ctx context.Context) error {
	d := r.data
	login, err := latticeLogin(d, r.latticeSetting(d.Config), r.o.Sources)
	if err != nil {
		return err
	}
	l := r.lattice
	l.subjects, l.handle, l.around, l.log = r.subjects(), r.handle, r.wrpcOptions, r.log.With("connection", "lattice")
	l.serve = func(c *wrpc.Conn) error { return r.provider.Serve(c, d.Lattice+"."+d.ProviderID) }
	return l.open(ctx, natsconn.Config{Servers: servers(d.URL), Name: r.o.Name}, login)
}

// startLinks puts the links that the host knows at the start. Components are served when all of them work, or have failed, or
// take long.
func (r *Runtime) startLinks(ctx context.Context) {
	var jobs []*job
	for _, raw := range r.data.Links {
		if j := r.putLink(raw); j != nil {
			jobs = append(jobs, j)
		}
	}
	r.data.Links = nil
	late := time.NewTimer(firstLinksWait)
	defer late.Stop()
	for _, j := range jobs {
		select {
		case <-j.over:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the provider within a time, and then answers the host that asked for it. What is under way may finish: messages that
// components handle, then calls of components; a handler may need the latter.
func (r *Runtime) stop(within time.Duration, asked *nats.Msg) error {
	begun := time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), begun.Add(within))
	defer cancel()
	r.queue.close()
	r.cancel() // links that are being put are given up
	first, end := context.WithDeadline(ctx, begun.Add(within*4/5))
	err := r.provider.Drain(first)
	end()
	err = errors.Join(err, r.lattice.drain(ctx))
	if err != nil {
		r.log.Warn("what was under way did not end in time", "within", within, "error", err)
	}
	if asked != nil {
		r.sendTelemetry(ctx) // after the answer the host kills
		r.answer(asked)
	}
	ended := make(chan struct{})
	go func() { // ends when the provider's methods have returned, for which it has been told to
		r.queue.wait()
		r.work.Wait()
		close(ended)
	}()
	late := time.NewTimer(r.o.Stop)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		return errors.New("the provider does not end: a link is still being changed")
	}
	r.log.Info("the provider has ended", "took", time.Since(begun).Round(time.Millisecond))
	return nil
}

func (r *Runtime) answer(asked *nats.Msg) {
	err := r.lattice.conn.Respond(asked, []byte("shutting down"))
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = r.lattice.conn.Flush(ctx)
	}
	if err != nil && !errors.Is(err, nats.ErrMsgNoReply) && !errors.Is(err, natsconn.ErrUnconfirmed) {
		r.log.Warn("the host has no answer to its shutdown", "error", err)
	}
}
