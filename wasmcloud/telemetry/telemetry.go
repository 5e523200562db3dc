// Package telemetry sends traces, numbers and log lines of a provider to an OpenTelemetry collector, as its host says. Only binaries
// import it: the exporters are larger than the provider.
package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/credentials"

	"github.com/parley-backend/parley/wasmcloud"
)

// Opener is for wasmcloud.Options.Telemetry. The service is what the collector knows the provider as.
func Opener(service string) func(context.Context, wasmcloud.Resource, wasmcloud.OTel) (wasmcloud.Telemetry, error) {
	return func(ctx context.Context, r wasmcloud.Resource, o wasmcloud.OTel) (wasmcloud.Telemetry, error) {
		return open(ctx, service, r, o)
	}
}

// open makes what is wanted. It does not wait for a collector: what cannot be sent is dropped.
func open(ctx context.Context, service string, r wasmcloud.Resource, o wasmcloud.OTel) (wasmcloud.Telemetry, error) {
	var t wasmcloud.Telemetry
	if !o.Traces() && !o.Metrics() && !o.Logs() {
		return t, nil
	}
	pool, err := roots(o.CAPaths)
	if err != nil {
		return t, err
	}
	c := collector{o: o, grpc: strings.EqualFold(o.Protocol, "grpc"), tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
	about := resource.NewSchemaless(
		attribute.String("service.name", service), attribute.String("service.version", r.Version), attribute.String("service.instance.id", r.Instance),
		attribute.String("wasmcloud.provider", r.Provider), attribute.String("wasmcloud.lattice", r.Lattice), attribute.String("wasmcloud.host", r.Host),
	)
	var stops []func(context.Context) error
	t.Stop = func(ctx context.Context) error {
		var failed error
		for _, stop := range stops {
			failed = errors.Join(failed, stop(ctx))
		}
		return failed
	}
	if o.Traces() {
		exporter, err := c.traces(ctx)
		if err != nil {
			return wasmcloud.Telemetry{}, fmt.Errorf("traces: %w", err)
		}
		var batch []sdktrace.BatchSpanProcessorOption
		if o.MaxBatchQueueSize > 0 {
			batch = append(batch, sdktrace.WithMaxQueueSize(o.MaxBatchQueueSize))
		}
		p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, batch...), sdktrace.WithResource(about), sdktrace.WithSampler(sampler(o)))
		t.Traces, stops = p, append(stops, p.Shutdown)
	}
	if o.Metrics() {
		exporter, err := c.metrics(ctx)
		if err != nil {
			return wasmcloud.Telemetry{}, errors.Join(fmt.Errorf("metrics: %w", err), t.Stop(ctx))
		}
		p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(about))
		t.Metrics, stops = p, append(stops, p.Shutdown)
	}
	if o.Logs() {
		exporter, err := c.logs(ctx)
		if err != nil {
			return wasmcloud.Telemetry{}, errors.Join(fmt.Errorf("logs: %w", err), t.Stop(ctx))
		}
		p := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)), sdklog.WithResource(about))
		t.Log, stops = newHandler(p.Logger(service)), append(stops, p.Shutdown)
	}
	return t, nil
}

// roots are those of the system and of the files, nil for the system's alone.
func roots(paths []string) (*x509.CertPool, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", path)
		}
	}
	return pool, nil
}

// sampler is that of the words of OpenTelemetry: parentbased_always_on unless told.
func sampler(o wasmcloud.OTel) sdktrace.Sampler {
	ratio, err := strconv.ParseFloat(o.TracesSamplerArg, 64)
	if err != nil || ratio < 0 || ratio > 1 {
		ratio = 1
	}
	name, based := strings.CutPrefix(strings.ToLower(o.TracesSampler), "parentbased_")
	var root sdktrace.Sampler
	switch name {
	case "always_on":
		root = sdktrace.AlwaysSample()
	case "always_off":
		root = sdktrace.NeverSample()
	case "traceidratio":
		root = sdktrace.TraceIDRatioBased(ratio)
	default:
		root, based = sdktrace.AlwaysSample(), true
	}
	if based {
		return sdktrace.ParentBased(root)
	}
	return root
}

// endpoint is where a signal goes: its own endpoint as it is; or the common one, to which HTTP adds the path of the signal unless it has
// one, and from which gRPC drops it; or the collector of the machine.
func endpoint(grpc bool, own, common, signal string) string {
	switch {
	case own != "":
		return own
	case common == "" && grpc:
		return "http://127.0.0.1:4317"
	case common == "":
		return "http://127.0.0.1:4318/v1/" + signal
	}
	u, err := url.Parse(common)
	switch {
	case err != nil:
		return common
	case grpc:
		u.Path = ""
	case u.Path == "" || u.Path == "/":
		u.Path = "/v1/" + signal
	}
	return u.String()
}

// collector makes exporters.
type collector struct {
	o    wasmcloud.OTel
	grpc bool
	tls  *tls.Config
}

func (c *collector) traces(ctx context.Context) (sdktrace.SpanExporter, error) {
	to := endpoint(c.grpc, c.o.TracesEndpoint, c.o.Endpoint, "traces")
	if c.grpc {
		o := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(to)}
		if secure(to) {
			o = append(o, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(c.tls)))
		}
		return otlptracegrpc.New(ctx, o...)
	}
	o := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(to)}
	if secure(to) {
		o = append(o, otlptracehttp.WithTLSClientConfig(c.tls))
	}
	return otlptracehttp.New(ctx, o...)
}

func (c *collector) metrics(ctx context.Context) (sdkmetric.Exporter, error) {
	to := endpoint(c.grpc, c.o.MetricsEndpoint, c.o.Endpoint, "metrics")
	if c.grpc {
		o := []otlpmetricgrpc.Option{otlpmetricgrpc.WithEndpointURL(to)}
		if secure(to) {
			o = append(o, otlpmetricgrpc.WithTLSCredentials(credentials.NewTLS(c.tls)))
		}
		return otlpmetricgrpc.New(ctx, o...)
	}
	o := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpointURL(to)}
	if secure(to) {
		o = append(o, otlpmetrichttp.WithTLSClientConfig(c.tls))
	}
	return otlpmetrichttp.New(ctx, o...)
}

func (c *collector) logs(ctx context.Context) (sdklog.Exporter, error) {
	to := endpoint(c.grpc, c.o.LogsEndpoint, c.o.Endpoint, "logs")
	if c.grpc {
		o := []otlploggrpc.Option{otlploggrpc.WithEndpointURL(to)}
		if secure(to) {
			o = append(o, otlploggrpc.WithTLSCredentials(credentials.NewTLS(c.tls)))
		}
		return otlploggrpc.New(ctx, o...)
	}
	o := []otlploghttp.Option{otlploghttp.WithEndpointURL(to)}
	if secure(to) {
		o = append(o, otlploghttp.WithTLSClientConfig(c.tls))
	}
	return otlploghttp.New(ctx, o...)
}

func secure(endpoint string) bool { return strings.HasPrefix(endpoint, "https:") }
