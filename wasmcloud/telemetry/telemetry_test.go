package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/parley-backend/parley/wasmcloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEndpoint(t *testing.T) {
	for _, test := range []struct {
		grpc        bool
		own, common string
		want        string
	}{
		{false, "", "", "http://127.0.0.1:4318/v1/traces"},
		{true, "", "", "http://127.0.0.1:4317"},
		{false, "http://own:1/as/it/is", "http://common:1", "http://own:1/as/it/is"},
		{true, "http://own:1", "http://common:1", "http://own:1"},
		{false, "", "http://common:1", "http://common:1/v1/traces"},
		{false, "", "http://common:1/", "http://common:1/v1/traces"},
		{false, "", "https://common:1/otel", "https://common:1/otel"},
		{true, "", "https://common:1/otel", "https://common:1"},
	} {
		if got := endpoint(test.grpc, test.own, test.common, "traces"); got != test.want {
			t.Errorf("endpoint(%v, %q, %q) = %q, want %q", test.grpc, test.own, test.common, got, test.want)
		}
	}
}

func TestSampler(t *testing.T) {
	for name, want := range map[string]string{
		"":          "ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}",
		"always_on": "AlwaysOnSampler", "ALWAYS_OFF": "AlwaysOffSampler", "traceidratio": "TraceIDRatioBased{0.25}",
		"parentbased_traceidratio": "ParentBased{root:TraceIDRatioBased{0.25},remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}",
	} {
		if got := sampler(wasmcloud.OTel{TracesSampler: name, TracesSamplerArg: "0.25"}).Description(); got != want {
			t.Errorf("sampler(%q) = %s, want %s", name, got, want)
		}
	}
}

// collected is a collector that notes what it gets.
type collected struct {
	mu  sync.Mutex
	got []string // path or kind, and names
}

func (c *collected) note(what string, names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.got = append(c.got, what+" "+name)
	}
	slices.Sort(c.got)
}

func spans(r *collectortraces.ExportTraceServiceRequest) (names []string) {
	for _, resource := range r.ResourceSpans {
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				names = append(names, "service="+a.Value.GetStringValue())
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				names = append(names, span.Name)
			}
		}
	}
	return names
}

func numbers(r *collectormetrics.ExportMetricsServiceRequest) (names []string) {
	for _, resource := range r.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

func (c *collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var traces collectortraces.ExportTraceServiceRequest
	var metrics collectormetrics.ExportMetricsServiceRequest
	var logs collectorlogs.ExportLogsServiceRequest
	switch r.URL.Path {
	case "/v1/traces":
		err = proto.Unmarshal(body, &traces)
		c.note(r.URL.Path, spans(&traces)...)
	case "/v1/metrics":
		err = proto.Unmarshal(body, &metrics)
		c.note(r.URL.Path, numbers(&metrics)...)
	case "/v1/logs":
		err = proto.Unmarshal(body, &logs)
		for _, resource := range logs.ResourceLogs {
			for _, scope := range resource.ScopeLogs {
				for _, line := range scope.LogRecords {
					text := line.SeverityText + " " + line.Body.GetStringValue()
					for _, a := range line.Attributes {
						text += " " + a.Key + "=" + a.Value.GetStringValue()
					}
					c.note(r.URL.Path, text)
				}
			}
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

type traceServer struct {
	collectortraces.UnimplementedTraceServiceServer
	c *collected
}

func (s traceServer) Export(_ context.Context, r *collectortraces.ExportTraceServiceRequest) (*collectortraces.ExportTraceServiceResponse, error) {
	s.c.note("grpc", spans(r)...)
	return &collectortraces.ExportTraceServiceResponse{}, nil
}

type metricServer struct {
	collectormetrics.UnimplementedMetricsServiceServer
	c *collected
}

func (s metricServer) Export(_ context.Context, r *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	s.c.note("grpc", numbers(r)...)
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

// use makes one of each.
func use(t *testing.T, o wasmcloud.OTel) {
	t.Helper()
	sent, err := Opener("a-service")(t.Context(), wasmcloud.Resource{Provider: "p", Version: "1"}, o)
	if err != nil {
		t.Fatal(err)
	}
	_, span := sent.Traces.Tracer("test").Start(t.Context(), "a span")
	span.End()
	counter, err := sent.Metrics.Meter("test").Int64Counter("a.number", metric.WithUnit("1"))
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 1)
	if sent.Log != nil {
		slog.New(sent.Log).With("a", 1).WithGroup("g").Warn("a line", "b", 2, slog.Group("h", "c", 3))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := sent.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestOverHTTP(t *testing.T) {
	c := &collected{}
	s := httptest.NewServer(c)
	defer s.Close()
	use(t, wasmcloud.OTel{EnableObservability: true, Endpoint: s.URL, Protocol: "Http"})
	want := []string{"/v1/logs WARN a line a=1 g.b=2 g.h.c=3", "/v1/metrics a.number", "/v1/traces a span", "/v1/traces service=a-service"}
	if !slices.Equal(c.got, want) {
		t.Errorf("the collector got %q, want %q", c.got, want)
	}
}

func TestOverGRPC(t *testing.T) {
	c := &collected{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	collectortraces.RegisterTraceServiceServer(s, traceServer{c: c})
	collectormetrics.RegisterMetricsServiceServer(s, metricServer{c: c})
	over := make(chan error, 1)
	go func() { over <- s.Serve(listener) }()
	no := false
	use(t, wasmcloud.OTel{EnableObservability: true, EnableLogs: &no, Endpoint: "http://" + listener.Addr().String() + "/dropped", Protocol: "Grpc"})
	s.Stop()
	<-over
	want := []string{"grpc a span", "grpc a.number", "grpc service=a-service"}
	if !slices.Equal(c.got, want) {
		t.Errorf("the collector got %q, want %q", c.got, want)
	}
}

func TestNothingIsWanted(t *testing.T) {
	got, err := Opener("s")(t.Context(), wasmcloud.Resource{}, wasmcloud.OTel{Endpoint: "http://127.0.0.1:1"})
	if err != nil || got.Traces != nil || got.Metrics != nil || got.Log != nil || got.Stop != nil {
		t.Errorf("%+v, %v, want nothing", got, err)
	}
}

func TestCAThatIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("not one"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Opener("s")(t.Context(), wasmcloud.Resource{}, wasmcloud.OTel{EnableObservability: true, CAPaths: []string{path}})
	if want := path + " holds no certificate"; err == nil || err.Error() != want {
		t.Errorf("Opener() = %v, want %s", err, want)
	}
}
