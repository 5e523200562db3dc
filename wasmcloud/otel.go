package wasmcloud

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// scope is who says it, in traces and numbers.
const scope = "github.com/parley-backend/parley/wasmcloud"

// With returns what the host said, changed by the keys of the provider's config that name variables of OpenTelemetry, in any case.
func (o OTel) With(config map[string]string) OTel {
	for _, key := range []struct {
		name string
		to   *string
	}{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", &o.Endpoint},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &o.TracesEndpoint},
		{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &o.MetricsEndpoint},
		{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &o.LogsEndpoint},
		{"OTEL_TRACES_SAMPLER", &o.TracesSampler},
		{"OTEL_TRACES_SAMPLER_ARG", &o.TracesSamplerArg},
	} {
		if value, has := named(config, key.name); has {
			*key.to = value
		}
	}
	for _, key := range []struct {
		name string
		to   *int
	}{{"OTEL_BSP_MAX_CONCURRENT_EXPORTS", &o.ConcurrentExports}, {"OTEL_BSP_MAX_QUEUE_SIZE", &o.MaxBatchQueueSize}} {
		if value, has := named(config, key.name); has {
			if n, err := strconv.Atoi(value); err == nil && n > 0 {
				*key.to = n
			}
		}
	}
	return o
}

// Traces reports whether traces are wanted.
func (o OTel) Traces() bool { return wanted(o.EnableTraces, o.EnableObservability) }

// Metrics reports whether numbers are wanted.
func (o OTel) Metrics() bool { return wanted(o.EnableMetrics, o.EnableObservability) }

// Logs reports whether log lines are wanted.
func (o OTel) Logs() bool { return wanted(o.EnableLogs, o.EnableObservability) }

func wanted(one *bool, all bool) bool {
	if one != nil {
		return *one
	}
	return all
}

// observer makes spans and numbers of calls.
type observer struct {
	tracer trace.Tracer // nil for none
	took   metric.Float64Histogram
}

func newObserver(t Telemetry) (*observer, error) {
	o := &observer{}
	if t.Traces != nil {
		o.tracer = t.Traces.Tracer(scope)
	}
	if t.Metrics != nil {
		var err error
		o.took, err = t.Metrics.Meter(scope).Float64Histogram("wasmcloud.call.duration", metric.WithUnit("s"),
			metric.WithDescription("How long calls between the provider and components took."),
			metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// invoke is around a call of a component. The trace of ctx, or else that of the headers, goes into the headers.
func (o *observer) invoke(ctx context.Context, f wrpc.Function, component string, header nats.Header) (context.Context, func(error)) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = ExtractTrace(ctx, header)
	}
	ctx, end := o.begin(ctx, f, trace.SpanKindClient, component)
	InjectTrace(ctx, header)
	return ctx, end
}

// serve is around a call by a component.
func (o *observer) serve(ctx context.Context, f wrpc.Function, header nats.Header, handle func(context.Context) ([]byte, error)) (result []byte, err error) {
	ctx, end := o.begin(ExtractTrace(ctx, header), f, trace.SpanKindServer, header.Get(wrpc.HeaderSource))
	defer func() { end(err) }()
	err = errors.New("panic") // unless it returns
	return handle(ctx)
}

// begin begins a call, which ends with the function that is returned.
func (o *observer) begin(ctx context.Context, f wrpc.Function, kind trace.SpanKind, component string) (context.Context, func(error)) {
	if o.tracer == nil && o.took == nil {
		return ctx, func(error) {}
	}
	attributes := []attribute.KeyValue{
		attribute.String("rpc.system", "wrpc"), attribute.String("rpc.service", f.Instance), attribute.String("rpc.method", f.Name),
	}
	var span trace.Span
	if o.tracer != nil {
		ctx, span = o.tracer.Start(ctx, f.Instance+"/"+f.Name, trace.WithSpanKind(kind), trace.WithAttributes(append(attributes, attribute.String("wasmcloud.component", component))...))
	}
	begun := time.Now()
	return ctx, func(err error) {
		if span != nil {
			if err != nil {
				span.SetStatus(codes.Error, outcome(err))
			}
			span.End()
		}
		if o.took != nil {
			o.took.Record(ctx, time.Since(begun).Seconds(), metric.WithAttributes(append(attributes, attribute.String("direction", kind.String()), attribute.String("outcome", outcome(err)))...))
		}
	}
}

// outcome is a word for how a call ended. The text of an error may be long and is of no use as a label.
func outcome(err error) string {
	for _, one := range []struct {
		err  error
		word string
	}{
		{wrpc.ErrNoServer, "no_server"}, {wrpc.ErrNoResult, "no_result"}, {context.DeadlineExceeded, "timeout"}, {context.Canceled, "cancelled"},
		{wrpc.ErrClosed, "closed"}, {wrpc.ErrFull, "full"}, {wrpc.ErrTooLarge, "too_large"},
	} {
		if errors.Is(err, one.err) {
			return one.word
		}
	}
	if err != nil {
		return "error"
	}
	return "ok"
}

// atLeast is a handler that takes what is of a level.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
